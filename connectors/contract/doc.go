// Package contract describes to others what this module takes and gives: the
// JSON Schema of every event, in and out, and of every answer, and the AsyncAPI
// document of the topics.
//
// Everything is derived from the types that are decoded and encoded, through
// their Visit methods, and from the rules of connectors/wire, so that no
// description can say anything else than what is done. It describes a plan, not
// a running node: the same build gives the same bytes.
//
// The OpenAPI document is made by connectors/httpapi, with these schemas.
//
// Start at [Inputs] and [Outputs]; schema.go walks the fields of a type, input.go
// and output.go add what wire checks and writes around them, asyncapi.go puts
// the topics together.
package contract
