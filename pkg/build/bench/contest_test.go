package bench

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestContestByTurns(t *testing.T) {
	var said []string
	e := func(name, ours string, fails bool) entrant {
		return entrant{name: name, ours: ours, before: func() error { said = append(said, "before "+name); return nil },
			run: func(context.Context) (int64, error) {
				said = append(said, name)
				if fails {
					return 0, errors.New("it is broken\nand says a lot")
				}
				return 7, nil
			}}
	}
	list, err := contest(t.Context(), io.Discard, 2, []entrant{e("a", "a", false), e("b", "", true), {name: "c", absent: "nowhere"}, e("d", "", false)})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields("before_a a before_b b before_d d before_a a before_d d"); strings.Join(said, " ") != strings.ReplaceAll(strings.Join(want, " "), "_", " ") {
		t.Errorf("the order was %q", said)
	}
	for i, want := range []standing{{made: 7}, {why: "it is broken"}, {why: "nowhere"}, {made: 7}} {
		got := list[i]
		if rounds := map[bool]int{true: 2, false: 0}[want.why == ""]; got.why != want.why || got.made != want.made || len(got.took) != rounds {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	if _, err := contest(t.Context(), io.Discard, 1, []entrant{e("a", "a", true)}); err == nil {
		t.Error("a failure of ours was taken")
	}
}

func TestContestTable(t *testing.T) {
	s := func(name, ours string, made int64, why string, took ...time.Duration) standing {
		return standing{name: name, ours: ours, made: made, why: why, took: took}
	}
	got := contestTable("title", []standing{
		s("bee", "bee", 100, "", time.Second, 3*time.Second, 2*time.Second),
		s("bee, changed", "changed", 100, "", 4*time.Second),
		s("peer", "", 0, "", 8*time.Second),
		s("gone", "", 0, "nobody has it"),
	})
	want := strings.Join([]string{
		"title           time    bytes  bee/it  changed/it",
		"  bee           2.00 s  100",
		"  bee, changed  4.00 s  100",
		"  peer          8.00 s  -  0.25  0.50",
		"  gone          NOT MEASURED: nobody has it",
	}, "\n")
	if strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMedianTime(t *testing.T) {
	for want, v := range map[time.Duration][]time.Duration{0: nil, 1: {1}, 2: {9, 2, 1}, 3: {4, 3}} {
		before := slices.Clone(v)
		if got := medianTime(v); got != want || !slices.Equal(v, before) {
			t.Errorf("median of %v = %d, want %d", before, got, want)
		}
	}
}
