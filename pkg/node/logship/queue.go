package logship

import (
	"context"
	"fmt"
	"sync"
)

// maxQueue bounds what waits to be sent, bytes of text.
const maxQueue = 4 << 20

// queue keeps messages until they are sent; the oldest go first when there are
// too many.
type queue struct {
	mu      sync.Mutex
	list    []Message
	bytes   int
	dropped int
	wake    chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) put(m Message) {
	q.mu.Lock()
	q.list = append(q.list, m)
	q.bytes += len(m.Text)
	for q.bytes > maxQueue && len(q.list) > 1 {
		q.bytes -= len(q.list[0].Text)
		q.list = q.list[1:]
		q.dropped++
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for the oldest message and leaves it in the queue: done takes it
// out. A message tells how many were lost before it.
func (q *queue) next(ctx context.Context) (Message, error) {
	for {
		q.mu.Lock()
		if q.dropped > 0 && len(q.list) > 0 {
			lost := Message{Time: q.list[0].Time, Facility: facilityDaemon, Severity: 4, Program: "logship",
				Text: fmt.Sprintf("%d messages were lost: the server could not be reached for too long", q.dropped)}
			q.list = append([]Message{lost}, q.list...)
			q.bytes += len(lost.Text)
			q.dropped = 0
		}
		if len(q.list) > 0 {
			m := q.list[0]
			q.mu.Unlock()
			return m, nil
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return Message{}, ctx.Err()
		case <-q.wake:
		}
	}
}

func (q *queue) done(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 && q.list[0] == m {
		q.list = q.list[1:]
		q.bytes -= len(m.Text)
	}
}
