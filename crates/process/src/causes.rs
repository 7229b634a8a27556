//! Writes an error with its causes in one line.

use std::error::Error;

/// Returns an error's message followed by those of its causes. A cause that the text already has is left out, since many
/// errors repeat theirs.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.map(ToString::to_string).fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl std::fmt::Display for Layer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn causes_follow_and_none_is_told_twice() {
        let chain = ["cannot open `a`: no disk", "no disk", "the cable is out"].into_iter().rev();
        let error = chain.fold(None, |cause, text| Some(Box::new(Layer(text, cause)))).unwrap();
        assert_eq!(with_causes(error.as_ref()), "cannot open `a`: no disk: the cable is out");
    }
}
