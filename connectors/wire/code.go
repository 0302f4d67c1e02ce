package wire

import "anabranch.dev/operators"

// Reasons for which a record is refused, as they stand in dead letters and in
// answers of the API. They are a contract: a code keeps its meaning for ever.
// Where one field is at fault, the reject's first field, [FieldAtFault], names
// it, such as "lines[2].quantity".
const (
	// CodeTooLarge: the value is longer than [MaxRecordBytes].
	CodeTooLarge = "too_large"
	// CodeNoValue: the record has no value and is not a deletion of reference
	// data: its key is not type/id of a type that can be deleted.
	CodeNoValue = "no_value"
	// CodeContentType: the content-type header names something else than JSON,
	// MessagePack and CSV.
	CodeContentType = "content_type_unsupported"
	// CodeInvalidUTF8: the value is not UTF-8, or escapes half a character.
	CodeInvalidUTF8 = "invalid_utf8"
	// CodeMalformedJSON: the value is not exactly one JSON value. NaN and
	// Infinity are not JSON.
	CodeMalformedJSON = "malformed_json"
	// CodeMalformedMessagePack: the value is not exactly one MessagePack value,
	// or one that JSON can't say: a member whose name is no string, NaN or
	// Infinity.
	CodeMalformedMessagePack = "malformed_msgpack"
	// CodeMalformedRow: the value is text/csv, or looks so, and is not exactly one
	// row of REES46's nine columns with a time in UTC.
	CodeMalformedRow = "malformed_row"
	// CodeTooDeep: values are nested deeper than [MaxDepth].
	CodeTooDeep = "too_deep"
	// CodeTooManyValues: more than [MaxValues] values in one record.
	CodeTooManyValues = "too_many_values"
	// CodeNotAnObject: the value is well-formed, but not an object.
	CodeNotAnObject = "not_an_object"
	// CodeIDMissing: no id, neither in the value nor in the headers.
	CodeIDMissing = "id_missing"
	// CodeUnknownType: nobody knows this event type.
	CodeUnknownType = operators.CodeUnknownType
	// CodeMissingField: a required field is absent, null or empty.
	CodeMissingField = "missing_field"
	// CodeDuplicateField: a field that is read stands twice in one object.
	CodeDuplicateField = "duplicate_field"
	// CodeWrongType: a value has another type than the field.
	CodeWrongType = "wrong_type"
	// CodeStringTooLong: a string is longer than [MaxStringBytes].
	CodeStringTooLong = "string_too_long"
	// CodeStringInvalid: a string holds control characters.
	CodeStringInvalid = "string_invalid"
	// CodeIntegerInvalid: not a whole number, negative, or too large.
	CodeIntegerInvalid = "integer_invalid"
	// CodeTimeInvalid: not an RFC 3339 time between 1970 and 9999.
	CodeTimeInvalid = "time_invalid"
	// CodeMoneyInvalid: not a decimal number with at most six places, negative,
	// or too large.
	CodeMoneyInvalid = "money_invalid"
	// CodePriceNotPositive: a line of an order or sale is priced 0 or less, or
	// a line of a cancellation or return below 0.
	CodePriceNotPositive = "price_not_positive"
	// CodeAmountAbsurd: Σ quantity × unit_price of a document is above
	// [MaxAmount].
	CodeAmountAbsurd = "amount_absurd"
	// CodeCurrencyInvalid: not an ISO 4217 code in capitals.
	CodeCurrencyInvalid = "currency_invalid"
	// CodeQuantityInvalid: not a whole number, or zero or negative where that
	// has no meaning.
	CodeQuantityInvalid = "quantity_invalid"
	// CodeQuantityAbsurd: a quantity beyond ±[MaxQuantity].
	CodeQuantityAbsurd = "quantity_absurd"
	// CodeChannelUnknown: not one of the five channel classes.
	CodeChannelUnknown = "channel_unknown"
	// CodeGTINInvalid: not 8, 12, 13 or 14 digits with a right check digit.
	CodeGTINInvalid = "gtin_invalid"
	// CodePositionInvalid: lat beyond ±90 or lon beyond ±180, or not a number.
	CodePositionInvalid = "position_invalid"
	// CodeSignalInvalid: a strength in dBm that is not a decimal number or
	// beyond ±[MaxSignal].
	CodeSignalInvalid = "signal_invalid"
	// CodeLinesMissing: an order, sale or return without lines.
	CodeLinesMissing = "lines_missing"
	// CodeTooManyLines: more than [MaxLines] lines.
	CodeTooManyLines = "too_many_lines"
	// CodeTooManyItems: more than [MaxIdentifiers] identifiers in one list, more
	// than [MaxItems] items in any other but lines, or more fields than that in
	// an event.
	CodeTooManyItems = "too_many_items"
	// CodeLineInvalid: a line number below 1.
	CodeLineInvalid = "line_invalid"
	// CodeLineDuplicate: two lines with one number.
	CodeLineDuplicate = "line_duplicate"
	// CodeIdentifierInvalid: an identifier whose type is not a short word.
	CodeIdentifierInvalid = "identifier_invalid"
	// CodeIdentifiersMissing: fewer identifiers than the type needs, without
	// those that identify nobody.
	CodeIdentifiersMissing = "identifiers_missing"
)

// Limits of one record.
const (
	MaxRecordBytes = 1 << 20
	MaxDepth       = 32
	MaxValues      = 1 << 18
	MaxStringBytes = 1 << 10
	MaxLines       = 8_000
	MaxItems       = 1_000
	MaxIdentifiers = 64
	MaxQuantity    = 1_000_000
	MaxAmount      = 10_000_000_000 // units of a currency
	MaxInteger     = 1_000_000_000  // for integers that are not quantities
	MaxSignal      = 200            // dBm
)
