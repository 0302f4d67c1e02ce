package keyed_test

import (
	"testing"

	"anabranch.dev/operators/matching"
	"anabranch.dev/operators/matching/keyed"
)

// The examples of the National Archives' page on Soundex.
func TestSoundex(t *testing.T) {
	for word, want := range map[string]string{
		"washington": "w252", "lee": "l000", "gutierrez": "g362", "pfister": "p236", "jackson": "j250",
		"tymczak": "t522", "ashcraft": "a261", "robert": "r163", "rupert": "r163", "rubin": "r150", "": "", "42": "",
	} {
		if got := keyed.Soundex(word); got != want {
			t.Errorf("Soundex(%s) = %s; want %s", word, got, want)
		}
	}
}

func TestAgreement(t *testing.T) {
	h := keyed.NewHasher([]byte("a key of tests"))
	for _, test := range []struct {
		a, b string
		want matching.Level
	}{
		{"Robert", " robert ", matching.Equal},
		{"José", "JOSE", matching.Equal},
		{"catherine", "catherina", matching.Close},
		{"robert", "rupert", matching.SameTone},
		{"robert", "xavier", matching.Different},
		{"robert", "", matching.Unknown},
		{"-", "robert", matching.Unknown},
		{"19081209", "19081219", matching.Close},
	} {
		a, b := h.Value("name", test.a), h.Value("name", test.b)
		if got := matching.Agreement(&a, &b); got != test.want {
			t.Errorf("%q and %q are %s (%d); want %s", test.a, test.b, got, matching.Likeness(&a, &b), test.want)
		}
		if back := matching.Agreement(&b, &a); back != matching.Agreement(&a, &b) {
			t.Errorf("%q and %q the other way round are %s", test.a, test.b, back)
		}
	}
	if h.Value("name", "robert") == h.Value("city", "robert") {
		t.Error("a name and a city of one spelling have one hash")
	}
	if h.Value("name", "robert") == keyed.NewHasher([]byte("another key")).Value("name", "robert") {
		t.Error("two keys give one hash")
	}
}
