//! Reading wire members: in an optional member, out its text or whole number. Never a default: those stand where the
//! member's meaning is.

/// The text of an enum or string member.
pub(crate) fn text<T: AsRef<str>>(member: &Option<T>) -> Option<&str> {
    member.as_ref().map(AsRef::as_ref)
}

/// A member that counts something: negative numbers are none.
pub(crate) fn whole(member: Option<i64>) -> Option<u64> {
    member.and_then(|number| u64::try_from(number).ok())
}
