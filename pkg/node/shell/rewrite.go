package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// What the interpreter (3.14) does not do as POSIX wants is put right in the
// syntax tree before it runs:
//
//	CMD &   becomes   { sh:job; { sh:enter; CMD; } & sh:bind "$!"; }
//	$!      becomes   $(sh:pid)
//	$0      becomes   $__sh_0
//	a\ b    becomes   a' 'b in assignments, redirections, case and ${x:-…},
//	                  where it would keep the backslash
//
// The first three are because it runs a background list in a goroutine, calls
// it g1 instead of by a process id, and knows no $0 but a file's. A list that
// is not one program becomes a child `sh -c` that is handed variables and
// functions: so it has a process id and outlives the shell. What eval and `.`
// read is treated alike.
const (
	varJob  = "__sh_job" // the job started last
	varIn   = "__sh_in"  // the job that this is part of
	varName = "__sh_0"
)

// rewrite changes a statement or file as said above.
func (sh *shell) rewrite(node syntax.Node) {
	var background []*syntax.Stmt
	var visit func(quoted bool) func(syntax.Node) bool
	visit = func(quoted bool) func(syntax.Node) bool {
		return func(node syntax.Node) bool {
			switch n := node.(type) {
			case *syntax.Stmt:
				if n.Background && !n.Coprocess {
					background = append(background, n)
					if _, ok := program(n); !ok {
						return false // its child shell does the rest
					}
				}
			case *syntax.Assign:
				unescape(n.Value)
			case *syntax.Redirect:
				if n.Hdoc == nil {
					unescape(n.Word)
				}
			case *syntax.CaseClause:
				unescape(n.Word)
			case *syntax.ParamExp:
				if n.Param != nil && n.Param.Value == "0" {
					n.Param.Value = varName
				}
				if n.Exp != nil && !quoted && n.Exp.Op < syntax.RemSmallPrefix {
					unescape(n.Exp.Word)
				}
			case *syntax.Word:
				replaceBang(n.Parts)
			case *syntax.CmdSubst:
				if quoted {
					syntax.Walk(&syntax.Block{Stmts: n.Stmts}, visit(false))
					return false
				}
			case *syntax.DblQuoted:
				replaceBang(n.Parts)
				if !quoted {
					for _, part := range n.Parts {
						syntax.Walk(part, visit(true))
					}
					return false
				}
			}
			return true
		}
	}
	syntax.Walk(node, visit(false))
	for _, n := range background {
		sh.rewriteBackground(n)
	}
}

// unescape turns characters behind a backslash into quoted ones.
func unescape(word *syntax.Word) {
	if word == nil {
		return
	}
	var parts []syntax.WordPart
	for _, part := range word.Parts {
		lit, ok := part.(*syntax.Lit)
		if !ok || !strings.Contains(lit.Value, `\`) {
			parts = append(parts, part)
			continue
		}
		plain := 0
		for i := 0; i+1 < len(lit.Value); i++ {
			if lit.Value[i] != '\\' {
				continue
			}
			if i > plain {
				parts = append(parts, &syntax.Lit{Value: lit.Value[plain:i]})
			}
			n := 1
			for i+1+n < len(lit.Value) && lit.Value[i+1+n]&0xc0 == 0x80 {
				n++ // the rest of a UTF-8 character
			}
			parts = append(parts, &syntax.SglQuoted{Value: lit.Value[i+1 : i+1+n]})
			i += n
			plain = i + 1
		}
		if plain < len(lit.Value) {
			parts = append(parts, &syntax.Lit{Value: lit.Value[plain:]})
		}
	}
	word.Parts = parts
}

func (sh *shell) rewriteBackground(stmt *syntax.Stmt) {
	body := *stmt
	body.Background = false
	text := printStmt(&body)
	if _, ok := program(&body); !ok {
		sh.jobs.mu.Lock()
		sh.jobs.stmts = append(sh.jobs.stmts, text)
		n := len(sh.jobs.stmts) - 1
		sh.jobs.mu.Unlock()
		body = *callStmt(litWord("sh:bg"), litWord(strconv.Itoa(n)), dblQuoted("@"))
	}
	group := &syntax.Stmt{Background: true, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{callStmt(litWord("sh:enter")), &body}}}
	*stmt = syntax.Stmt{Position: stmt.Position, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{
		callStmt(litWord("sh:job"), &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: text}}}),
		group,
		callStmt(litWord("sh:bind"), dblQuoted("!")),
	}}}
}

// program is the name of the one program that stmt runs.
func program(stmt *syntax.Stmt) (string, bool) {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 || stmt.Negated {
		return "", false
	}
	name := call.Args[0].Lit()
	return name, name != "" && !interp.IsBuiltin(name)
}

func replaceBang(parts []syntax.WordPart) {
	for i, part := range parts {
		if p, ok := part.(*syntax.ParamExp); ok && p.Short && p.Param != nil && p.Param.Value == "!" {
			parts[i] = &syntax.CmdSubst{Stmts: []*syntax.Stmt{callStmt(litWord("sh:pid"))}}
		}
	}
}

func litWord(s string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: s}}}
}

// dblQuoted is "$name".
func dblQuoted(name string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{
		&syntax.ParamExp{Short: true, Param: &syntax.Lit{Value: name}},
	}}}}
}

func callStmt(words ...*syntax.Word) *syntax.Stmt {
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Args: words}}
}

func printStmt(node syntax.Node) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, node); err != nil {
		return "false # " + err.Error() // a statement that was parsed can be printed
	}
	return b.String()
}

// rewriteText is rewrite on text.
func (sh *shell) rewriteText(r io.Reader, name string) (string, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	file, err := syntax.NewParser().Parse(bytes.NewReader(text), name)
	if err != nil {
		return "", err
	}
	sh.rewrite(file)
	out := printStmt(file)
	if _, err := syntax.NewParser().Parse(strings.NewReader(out), name); err != nil {
		// The printer lost something, such as a vertical tab in front of a word:
		// better the text as it was than one that does not run.
		return string(text), nil
	}
	return out, nil
}

// sourcePrefix marks texts that call has read for `.`.
const sourcePrefix = "/sh:source/"

// source reads what `. FILE` names and gives the words that run it.
func (sh *shell) source(hc interp.HandlerContext, args []string) []string {
	if len(args) < 2 {
		return args
	}
	f := openSource(hc, args[1])
	if f == nil {
		return args // the interpreter says what is wrong
	}
	defer f.Close()
	text, err := sh.rewriteText(f, args[1])
	if err != nil {
		return []string{"sh:fail", err.Error()}
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.sources = append(sh.sources, text)
	return append([]string{".", sourcePrefix + strconv.Itoa(len(sh.sources)-1)}, args[2:]...)
}

// openSource finds a file in PATH or, as bash, in the current folder.
func openSource(hc interp.HandlerContext, name string) *os.File {
	var candidates []string
	if !strings.Contains(name, "/") {
		for _, dir := range filepath.SplitList(hc.Env.Get("PATH").String()) {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, c := range append(candidates, name) {
		if !filepath.IsAbs(c) {
			c = filepath.Join(hc.Dir, c)
		}
		if fi, err := os.Stat(c); err != nil || fi.IsDir() {
			continue
		}
		if f, err := os.Open(c); err == nil {
			return f
		}
	}
	return nil
}

// open opens files for the interpreter: real ones, and texts of source.
func (sh *shell) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	rest, ok := strings.CutPrefix(path, sourcePrefix)
	if !ok {
		return interp.DefaultOpenHandler()(ctx, path, flag, perm)
	}
	n, err := strconv.Atoi(rest)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err != nil || n < 0 || n >= len(sh.sources) {
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	return textFile{strings.NewReader(sh.sources[n])}, nil
}

// textFile is a text as a file.
type textFile struct{ io.Reader }

func (textFile) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", os.ErrPermission) }
func (textFile) Close() error              { return nil }
