// Package docs holds what is written about Anabranch, the machine-readable
// contract included: openapi.json, asyncapi.json and schemas are generated, see
// docs/generate. It has no code of its own; its tests keep the documents true.
package docs

//go:generate go run ./generate
