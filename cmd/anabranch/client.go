package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const defaultAddr = "localhost:8470"

// client talks to the HTTP API of a running node.
type client struct {
	addr string
	http *http.Client
}

// addClient gives a command the flag --addr.
func addClient(cmd *cobra.Command) *client {
	c := &client{http: &http.Client{Timeout: 30 * time.Second}}
	cmd.Flags().StringVar(&c.addr, "addr", defaultAddr, "HTTP address of a running node")
	return c
}

// problem is an error that a node answered with.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	addr   string
}

func (p *problem) Error() string {
	text := fmt.Sprintf("%s: %s (%d %s)", p.addr, p.Detail, p.Status, p.Code)
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		text += "; try again, 'anabranch cluster status' shows what is the matter"
	}
	return text
}

// get asks for a path built from segments, which are escaped.
func (c *client) get(ctx context.Context, query url.Values, segments ...string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, query, nil, nil, segments...)
}

// post sends a body.
func (c *client) post(ctx context.Context, body []byte, header http.Header, segments ...string) ([]byte, error) {
	return c.do(ctx, http.MethodPost, nil, body, header, segments...)
}

func (c *client) do(ctx context.Context, method string, query url.Values, body []byte, header http.Header, segments ...string) ([]byte, error) {
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	base := c.addr
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	address := strings.TrimRight(base, "/") + "/" + strings.Join(segments, "/")
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, usagef("--addr %s: %w", c.addr, err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	answer, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err != nil {
		return nil, fmt.Errorf("%s: read answer: %w", c.addr, err)
	}
	if resp.StatusCode >= 300 {
		return answer, c.refused(resp.StatusCode, answer)
	}
	return answer, nil
}

func (c *client) refused(status int, answer []byte) error {
	p := &problem{Status: status, addr: c.addr}
	if err := json.Unmarshal(answer, p); err != nil || p.Detail == "" {
		return fmt.Errorf("%s: answered %d, not as an Anabranch node does; check --addr", c.addr, status)
	}
	p.Status = status
	return p
}

// unreachable says what to do about a node that does not answer.
func (c *client) unreachable(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: no node listens there; start one with 'anabranch dev' or name another with --addr", c.addr)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time; 'anabranch cluster status' shows what is the matter", c.addr)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w; check --addr", c.addr, op)
	}
	return fmt.Errorf("%s: %w", c.addr, err)
}

// decode reads an answer.
func decode[T any](c *client, answer []byte) (T, error) {
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("%s: answer is not understood: %w", c.addr, err)
	}
	return v, nil
}
