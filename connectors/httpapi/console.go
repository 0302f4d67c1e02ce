package httpapi

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed console
var consoleFiles embed.FS

// registerConsole serves the console page at / and its files beside it.
func registerConsole(mux *http.ServeMux) {
	files, err := fs.Sub(consoleFiles, "console")
	if err != nil {
		panic(err) // the name is a constant
	}
	server := http.FileServerFS(files)
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Cache-Control", "no-cache")
		server.ServeHTTP(w, r)
	}
	mux.HandleFunc("GET /{$}", serve)
	for _, name := range []string{"console.js", "console.css"} {
		mux.HandleFunc("GET /"+name, serve)
	}
}
