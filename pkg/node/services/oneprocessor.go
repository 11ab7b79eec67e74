package services

// oneProcessor has a Go program begin on one processor (GOMAXPROCS, package
// runtime): it neither starts nor wakes threads for others, of which a machine
// that boots has none to spare, and does not look for its control group's limits.
// What has more to do later takes them itself (runtime.NumCPU).
var oneProcessor = []string{"GOMAXPROCS=1"}
