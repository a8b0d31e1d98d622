// SPDX-License-Identifier: MIT OR GPL-2.0

package overlay

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// source is a file of Go's, with what is to be inserted. Text is inserted within lines, so that
// line numbers stay what they are.
type source struct {
	name    string // Below GOROOT/src.
	text    []byte
	fset    *token.FileSet
	file    *ast.File
	inserts []insert
	tail    string // What the file ends with.
}

// insert replaces the bytes of a file from one offset to another.
type insert struct {
	from, to int
	text     string
}

// readSource reads and parses a file.
func readSource(root, name string) (*source, error) {
	path := filepath.Join(root, "src", filepath.FromSlash(name))
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, text: text, fset: token.NewFileSet()}
	s.file, err = parser.ParseFile(s.fset, path, text, parser.ParseComments)
	return s, err
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// code returns the text of a node.
func (s *source) code(n ast.Node) string {
	return string(s.text[s.offset(n.Pos()):s.offset(n.End())])
}

func (s *source) insertAt(p token.Pos, text string) {
	at := s.offset(p)
	s.inserts = append(s.inserts, insert{at, at, text})
}

// before inserts a statement before another one.
func (s *source) before(n ast.Node, text string) { s.insertAt(n.Pos(), text+"; ") }

// after inserts a statement after another one.
func (s *source) after(n ast.Node, text string) { s.insertAt(n.End(), "; "+text) }

// begin inserts a statement at the beginning of a function.
func (s *source) begin(f *ast.FuncDecl, text string) { s.insertAt(f.Body.Lbrace+1, " "+text+"; ") }

// replace replaces an expression.
func (s *source) replace(n ast.Node, text string) {
	s.inserts = append(s.inserts, insert{s.offset(n.Pos()), s.offset(n.End()), text})
}

// edited returns the text of the file with everything inserted.
func (s *source) edited() []byte {
	sort.SliceStable(s.inserts, func(i, j int) bool { return s.inserts[i].from < s.inserts[j].from })
	var out strings.Builder
	at := 0
	for _, i := range s.inserts {
		out.Write(s.text[at:i.from])
		out.WriteString(i.text)
		at = i.to
	}
	out.Write(s.text[at:])
	out.WriteString(s.tail)
	return []byte(out.String())
}

// line returns the number of the line that an offset is in.
func (s *source) line(offset int) int { return 1 + strings.Count(string(s.text[:offset]), "\n") }

// function returns the only function of a name that has a body, methods among them, or nil.
func (s *source) function(name string) (found *ast.FuncDecl) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name && f.Body != nil {
			if found != nil {
				return nil
			}
			found = f
		}
	}
	return found
}

// structure returns the struct type of a name, or nil.
func (s *source) structure(name string) (found *ast.StructType) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if t, ok := n.(*ast.TypeSpec); ok && t.Name.Name == name {
			found, _ = t.Type.(*ast.StructType)
		}
		return found == nil
	})
	return found
}

// only returns the only node of a kind below another one that satisfies a condition.
func only[T ast.Node](s *source, in ast.Node, what string, is func(T) bool) (found T, err error) {
	count := 0
	ast.Inspect(in, func(n ast.Node) bool {
		if t, ok := n.(T); ok && is(t) {
			found = t
			count++
		}
		return true
	})
	if count != 1 {
		err = fmt.Errorf("%d times %s", count, what)
	}
	return found, err
}

// statement returns the only statement below a node with this code.
func (s *source) statement(in ast.Node, code string) (ast.Stmt, error) {
	return only(s, in, code, func(st ast.Stmt) bool { return s.code(st) == code })
}

// expression returns the only expression below a node with this code.
func (s *source) expression(in ast.Node, code string) (ast.Expr, error) {
	return only(s, in, code, func(e ast.Expr) bool { return s.code(e) == code })
}

// when returns the only if statement below a node whose condition begins so.
func (s *source) when(in ast.Node, condition string) (*ast.IfStmt, error) {
	return only(s, in, "if "+condition+"...", func(i *ast.IfStmt) bool {
		return strings.HasPrefix(s.code(i.Cond), condition)
	})
}

// inside returns the only if statement below a node with this code in its body.
func (s *source) inside(in ast.Node, code string) (*ast.IfStmt, error) {
	return only(s, in, "if ... { "+code+" }", func(i *ast.IfStmt) bool {
		for _, st := range i.Body.List {
			if s.code(st) == code {
				return true
			}
		}
		return false
	})
}
