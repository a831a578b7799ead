//! Setters of options, which may grow and so cannot be written out by who uses the library.

/// Gives `$options` a method for each of these public fields, which returns the options with another
/// value there.
macro_rules! setters {
    ($options:ident { $($field:ident: $value:ty),+ $(,)? }) => {
        impl $options {
            $(
                #[doc = concat!(
                    "The same with another [`", stringify!($field), "`](#structfield.",
                    stringify!($field), ")."
                )]
                #[must_use]
                pub fn $field(mut self, $field: $value) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}

pub(crate) use setters;
