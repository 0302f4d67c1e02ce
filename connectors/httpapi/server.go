package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// grace is how long requests in flight may take to end when the server stops.
const grace = 2 * time.Second

// stopping is the key under which a request's context holds a channel that is
// closed when the server stops: feeds, which would go on for ever, end then.
type stopping struct{}

// connection is the key under which a request's context holds its connection.
type connection struct{}

// Serve answers requests on the listener until ctx ends, then ends the live
// feeds, lets requests in flight finish for a short while and cuts off the
// rest. It closes the listener, and returns nil after an orderly stop.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	requests := context.WithValue(context.WithoutCancel(ctx), stopping{}, ctx.Done())
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // live feeds set their own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, c)
		},
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(l) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("http %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(requests, grace)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		err = errors.Join(err, s.Close())
		log.Warn("http: requests cut off at shutdown", "cause", err)
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http %s: %w", l.Addr(), err)
	}
	return nil
}
