// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// What programs are built with may be used under the MIT licence, each file of it.
func TestLibrariesMayBeUsedUnderTheMITLicence(t *testing.T) {
	line := regexp.MustCompile(`(?m)^(?://|#) SPDX-License-Identifier: (.*)$`)
	text, err := os.ReadFile("../LICENSES/MIT.txt")
	must(t, err)
	for _, root := range []string{".", "../policy", "../tools/gosched", "../tools/gotrace"} {
		// Each has a copy of its own, as a library is distributed without the rest.
		copied, err := os.ReadFile(filepath.Join(root, "LICENSE"))
		must(t, err)
		if !bytes.HasSuffix(copied, text) || !bytes.Contains(copied, []byte("version 2, whose text is in the file COPYING")) {
			t.Errorf("%s/LICENSE does not name both licences", root)
		}
		must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			must(t, err)
			found := line.FindSubmatch(text)
			code := regexp.MustCompile(`\.(go|s|rs|toml|mod)$`).MatchString(path)
			if found == nil && code || found != nil && string(found[1]) != "MIT OR GPL-2.0" {
				t.Errorf("%s has the licence %q", path, found)
			}
			return nil
		}))
	}
}
