package netup

// watchSeed posts the host names of NoCloud seeds until the service ends.
func (s *service) watchSeed() {
	err := s.WatchSeed(s.ctx, func(name string) { s.queue.post(seedNamed{name: name}) })
	if err != nil && s.ctx.Err() == nil {
		s.queue.post(seedNamed{err: err})
	}
}

func (s *service) seedNamed(e seedNamed) {
	if e.err != nil {
		s.logf("host name of a NoCloud seed: %v", e.err)
		return
	}
	s.seedName = e.name
	s.nameMachine()
}
