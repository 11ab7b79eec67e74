// Package bench measures what bee is held against: it boots the image and a
// peer (busybox, udhcpc and dropbear on the same kernel) by turns and prints
// medians, then sizes and build times. It judges nothing and fails no test.
package bench

// PeerGroup is the group of bee.lock with the peer's packages.
const PeerGroup = "peer"
