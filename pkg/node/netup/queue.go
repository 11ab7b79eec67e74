package netup

import (
	"context"
	"sync"
)

// queue carries events to the service's one goroutine. It has no bound: who
// posts never waits, so that the service may wait for who posts.
type queue struct {
	mu   sync.Mutex
	list []any
	wake chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) post(e any) {
	q.mu.Lock()
	q.list = append(q.list, e)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all that was posted, at once if there is something.
func (q *queue) take() []any {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}

// reader posts what the kernel tells until ctx ends or the kernel fails.
func (q *queue) reader(ctx context.Context, k Kernel) {
	for {
		events, err := k.Next()
		if ctx.Err() != nil {
			return
		}
		for _, e := range events {
			q.post(e)
		}
		if err != nil {
			q.post(kernelError{err})
			if len(events) == 0 {
				return
			}
		}
	}
}
