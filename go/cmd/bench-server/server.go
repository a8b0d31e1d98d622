// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

// server answers requests, each of which takes the same number of units of work.
type server struct {
	units  int
	done   atomic.Uint64 // Units of work.
	timing timing
}

// start serves in the background, and returns the address.
func (s *server) start(listen string) (string, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return "", err
	}
	go func() {
		fmt.Fprintln(os.Stderr, "server:", http.Serve(listener, s))
		os.Exit(1)
	}()
	s.timing.start()
	return listener.Addr().String(), nil
}

func (s *server) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	var p page
	copy(p[:], request.URL.Path)
	for i := 0; i < s.units; i++ {
		p.work()
	}
	s.done.Add(uint64(s.units))
	// It fails for a client that is gone.
	_, _ = fmt.Fprintln(answer, hex.EncodeToString(p[:md5.Size]))
}
