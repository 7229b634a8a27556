//! Enums that accept unknown values, so that a value new to AWS's service survives reading and writing.

/// Defines an enum with a variant per known value and `Other(String)`, serialized as the value's text.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A value that AWS's model does not list.
            Other(String),
        }

        impl $name {
            /// Returns the value's text.
            pub const fn text(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text.as_str(),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.text()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl crate::wire::Wire for $name {
            fn from_value(value: serde_json::Value) -> Result<Self, crate::problem::Problem> {
                <String as crate::wire::Wire>::from_value(value).map(Self::from)
            }

            fn to_value(&self) -> serde_json::Value {
                serde_json::Value::from(self.as_ref())
            }
        }

        crate::wire::serde_by_value!($name);
    };
}

pub(crate) use open_enum;
