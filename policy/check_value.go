package policy

// CheckValue says what is wrong with a value of a key, or with an entry of a
// list ("files.read"), as Parse would: for values that come from elsewhere,
// such as another format.
func CheckValue(key, value string) error {
	if f := checkText(value); f != nil {
		return &Error{Msg: f.msg, Fix: f.hint}
	}
	for _, f := range fields() {
		if f.key != key || f.check == nil {
			continue
		}
		if _, bad := f.check(value); bad != nil {
			return &Error{Msg: bad.msg, Fix: bad.hint}
		}
		return nil
	}
	return &Error{Msg: "no key " + quote(key) + " with values to check"}
}
