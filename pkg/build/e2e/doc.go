// Package e2e holds the end-to-end tests: the image that users build, booted in
// QEMU from the pinned packages, against real clients and servers from the
// pinned packages (OpenSSH, ssh-audit, dnsmasq). It has no code of its own.
package e2e
