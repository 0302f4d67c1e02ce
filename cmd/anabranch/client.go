package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const defaultAddr = "localhost:8470"

// client talks to the HTTP API of a running node, or of the first of several
// that can be reached.
type client struct {
	addr              string // one or more, separated by commas
	tokenFile, caFile string

	http  *http.Client // made at the first request
	token string
	at    string // address that answered last
}

// addClient gives a command the flags to reach a node.
func addClient(cmd *cobra.Command) *client {
	c := &client{}
	cmd.Flags().StringVar(&c.addr, "addr", defaultAddr, "HTTP address of a running node, or several separated by commas: the next is tried when one can't be reached")
	cmd.Flags().StringVar(&c.tokenFile, "token-file", "", "file with the token that the nodes want")
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "certificates (PEM) to trust for https addresses, in place of the system's")
	return c
}

// open reads the files that the flags name.
func (c *client) open() error {
	if c.http != nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return fmt.Errorf("--ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--ca-file %s: no certificate in it", c.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if c.tokenFile != "" {
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		c.token = strings.TrimSpace(string(text))
	}
	c.http = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return nil
}

// addresses are those to try, in order: the one that answered last first.
func (c *client) addresses() []string {
	list := strings.Split(c.addr, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	if i := slices.Index(list, c.at); i > 0 {
		list = append(slices.Clone(list[i:]), list[:i]...)
	}
	return list
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
	if err := c.open(); err != nil {
		return nil, err
	}
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	path := strings.Join(segments, "/")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var faults []error
	for _, addr := range c.addresses() {
		answer, err := c.ask(ctx, method, addr, path, body, header)
		if !notConnected(err) {
			c.at = addr
			return answer, err
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

// ask sends one request to one address.
func (c *client) ask(ctx context.Context, method, addr, path string, body []byte, header http.Header) ([]byte, error) {
	base := addr
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base, "/")+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, usagef("--addr %s: %w", addr, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(addr, err)
	}
	answer, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err != nil {
		return nil, fmt.Errorf("%s: read answer: %w", addr, err)
	}
	if resp.StatusCode >= 300 {
		return answer, refusedBy(addr, resp.StatusCode, answer)
	}
	return answer, nil
}

func refusedBy(addr string, status int, answer []byte) error {
	p := &problem{Status: status, addr: addr}
	if err := json.Unmarshal(answer, p); err != nil || p.Detail == "" {
		return fmt.Errorf("%s: answered %d, not as an Anabranch node does; check --addr", addr, status)
	}
	p.Status = status
	return p
}

// notConnected says whether a request has not even been sent, so that another
// node may be asked without doing something twice.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// unreachable says what to do about a node that does not answer.
func unreachable(addr string, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &silent{addr + ": no node listens there; start one with 'anabranch dev' or name another with --addr", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &silent{addr + ": no answer in time; 'anabranch cluster status' shows what is the matter", err}
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w; check --addr", addr, op)
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// silent is a node that does not answer, in words that need no cause.
type silent struct {
	text  string
	cause error
}

func (s *silent) Error() string { return s.text }
func (s *silent) Unwrap() error { return s.cause }

// decode reads an answer.
func decode[T any](c *client, answer []byte) (T, error) {
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("%s: answer is not understood: %w", c.addr, err)
	}
	return v, nil
}
