package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
)

// QMP speaks QEMU's machine protocol (docs/interop/qmp-spec in QEMU's source):
// one JSON object a line. Calls are made one after another; events are
// dropped. It is safe for concurrent use.
type QMP struct {
	conn net.Conn

	mu      sync.Mutex // one call at a time
	id      int
	replies chan reply
	done    chan struct{} // closed when reading ended
	err     error         // why; valid after done
}

type reply struct {
	ID     int             `json:"id"`
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Greeting *json.RawMessage `json:"QMP"`
}

func newQMP(conn net.Conn) *QMP {
	q := &QMP{conn: conn, replies: make(chan reply, 1), done: make(chan struct{})}
	go q.read()
	return q
}

func (q *QMP) read() {
	defer close(q.done)
	d := json.NewDecoder(q.conn)
	for {
		var r reply
		if err := d.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("QEMU ended")
			}
			q.err = err
			return
		}
		if r.Event == "" && r.Greeting == nil {
			q.replies <- r
		}
	}
}

// Do runs a command and decodes what it returns into result, unless that is
// nil.
func (q *QMP) Do(ctx context.Context, command string, arguments map[string]any, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.id == 0 {
		if err := q.call(ctx, "qmp_capabilities", nil, nil); err != nil {
			return err
		}
	}
	return q.call(ctx, command, arguments, result)
}

func (q *QMP) call(ctx context.Context, command string, arguments map[string]any, result any) error {
	q.id++
	request := map[string]any{"execute": command, "id": q.id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	b, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", command, err)
	}
	for {
		select {
		case r := <-q.replies:
			if r.ID != q.id {
				continue // the answer to a call that was given up
			}
			if r.Error != nil {
				return fmt.Errorf("ask QEMU to %s: %s (%s)", command, r.Error.Desc, r.Error.Class)
			}
			if result == nil {
				return nil
			}
			if err := json.Unmarshal(r.Return, result); err != nil {
				return fmt.Errorf("read QEMU's answer to %s: %w", command, err)
			}
			return nil
		case <-q.done:
			return fmt.Errorf("ask QEMU to %s: %w", command, q.err)
		case <-ctx.Done():
			return fmt.Errorf("ask QEMU to %s: %w", command, context.Cause(ctx))
		}
	}
}

// Status is QEMU's run state, such as "running".
func (q *QMP) Status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := q.Do(ctx, "query-status", nil, &s)
	return s.Status, err
}

// Powerdown presses the power button.
func (q *QMP) Powerdown(ctx context.Context) error { return q.Do(ctx, "system_powerdown", nil, nil) }

// SetLink plugs the cable of the i-th card in or pulls it.
func (q *QMP) SetLink(ctx context.Context, i int, up bool) error {
	return q.Do(ctx, "set_link", map[string]any{"name": fmt.Sprintf("nic%d", i), "up": up}, nil)
}

// AddDevice plugs a device in: its driver, its id and its properties.
func (q *QMP) AddDevice(ctx context.Context, driver, id string, properties map[string]any) error {
	args := map[string]any{"driver": driver, "id": id}
	for k, v := range properties {
		args[k] = v
	}
	return q.Do(ctx, "device_add", args, nil)
}

// DelDevice asks the guest to let go of a device, which it does some time
// later.
func (q *QMP) DelDevice(ctx context.Context, id string) error {
	return q.Do(ctx, "device_del", map[string]any{"id": id}, nil)
}

// Monitor runs a command of QEMU's monitor for people and returns what it
// says.
func (q *QMP) Monitor(ctx context.Context, line string) (string, error) {
	var out string
	err := q.Do(ctx, "human-monitor-command", map[string]any{"command-line": line}, &out)
	return out, err
}

// forwardLine is a line of "info usernet", such as
//
//	TCP[HOST_FORWARD]  12       127.0.0.1 34567       10.0.2.15    22     0     0
var forwardLine = regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)`)

// parseForwards reads "info usernet": guest port → host port.
func parseForwards(text string) (map[int]int, error) {
	ports := map[int]int{}
	for _, m := range forwardLine.FindAllStringSubmatch(text, -1) {
		host, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("parse forwarded ports: %w", err)
		}
		guest, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, fmt.Errorf("parse forwarded ports: %w", err)
		}
		ports[guest] = host
	}
	return ports, nil
}
