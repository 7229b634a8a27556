//! Decides where the outputs of an upload go: expands a template such as `s3://renditions/{key}/` into an `s3://`
//! URL. Templates are parsed once, so a variable inside a key is never expanded. MediaConvert has variables of its own
//! between dollar signs (`$dt$`): a dollar sign of a key is written twice, which stands for one.

use crate::{Error, Upload};

/// A piece of a parsed template.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Bucket,
    Key,
    Stem,
    Ext,
    Dir,
}

/// A template for where outputs go, with variables that the upload fills in.
///
/// | variable | for `s3://uploads/a/b.c.mp4` |
/// | --- | --- |
/// | `{bucket}` | `uploads` |
/// | `{key}` | `a/b.c.mp4`, the whole key, so that `x.mp4` and `x.mov` never collide |
/// | `{stem}` | `b.c`: the file name without its last extension |
/// | `{ext}` | `mp4`, without the dot; empty if there is none |
/// | `{dir}` | `a`; if it is empty, a slash right after the variable is dropped too |
///
/// Default: `s3://renditions/{key}/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DestinationTemplate {
    bucket: Piece,
    path: Vec<Piece>,
}

impl Default for DestinationTemplate {
    fn default() -> Self {
        Self {
            bucket: Piece::Text("renditions".to_owned()),
            path: vec![Piece::Key, Piece::Text("/".to_owned())],
        }
    }
}

impl DestinationTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if it is not `s3://BUCKET/PATH`, if BUCKET is
    /// neither plain text nor exactly `{bucket}`, or if a variable is unknown or not closed.
    pub fn parse(template: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::invalid_config(format!("destination `{template}` {what}"));
        let place = template.strip_prefix("s3://").ok_or_else(|| invalid("does not start with `s3://`"))?;
        let (bucket, path) = place.split_once('/').ok_or_else(|| invalid("has no `/` after its bucket"))?;
        let bucket = match bucket {
            "" => return Err(invalid("has no bucket")),
            "{bucket}" => Piece::Bucket,
            name if name.contains(['{', '}']) => {
                return Err(invalid("mixes text and variables in its bucket"));
            }
            name => Piece::Text(name.to_owned()),
        };
        Ok(Self { bucket, path: read_pieces(path).map_err(|what| invalid(&what))? })
    }

    /// Returns the destination for the outputs of `upload`, in which MediaConvert expands only what the template's own
    /// text has between dollar signs.
    pub fn expand(&self, upload: &Upload) -> String {
        let KeyParts { folder, stem, extension } = KeyParts::of(&upload.key);
        let mut url = format!("s3://{}/", self.bucket_for(upload));
        let mut drop_slash = false;
        for piece in &self.path {
            match piece {
                Piece::Text(text) if drop_slash => url.push_str(text.strip_prefix('/').unwrap_or(text)),
                Piece::Text(text) => url.push_str(text),
                Piece::Bucket => url.push_str(&literal(&upload.bucket)),
                Piece::Key => url.push_str(&literal(&upload.key)),
                Piece::Stem => url.push_str(&literal(stem)),
                Piece::Ext => url.push_str(&literal(extension)),
                Piece::Dir => url.push_str(&literal(folder)),
            }
            drop_slash = *piece == Piece::Dir && folder.is_empty();
        }
        url
    }

    /// Returns whether outputs may land in the same place as `upload`, where each would count as a new upload: the
    /// bucket is the same, and the key starts with the text before the template's first variable.
    pub fn contains(&self, upload: &Upload) -> bool {
        let fixed = match self.path.first() {
            Some(Piece::Text(text)) => text.as_str(),
            _ => "",
        };
        self.bucket_for(upload) == upload.bucket && upload.key.starts_with(fixed)
    }

    /// Returns the bucket if it is the same for all uploads.
    pub fn fixed_bucket(&self) -> Option<&str> {
        match &self.bucket {
            Piece::Text(name) => Some(name),
            _ => None,
        }
    }

    fn bucket_for<'a>(&'a self, upload: &'a Upload) -> &'a str {
        match &self.bucket {
            Piece::Text(name) => name,
            _ => &upload.bucket,
        }
    }
}

/// Writes a text so that MediaConvert takes none of it as a variable.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// Splits a path template into text and variables. The error says what is wrong with it.
fn read_pieces(path: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once('{') {
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let (name, after) = after.split_once('}').ok_or("has a `{` that is never closed")?;
        pieces.push(match name {
            "bucket" => Piece::Bucket,
            "key" => Piece::Key,
            "stem" => Piece::Stem,
            "ext" => Piece::Ext,
            "dir" => Piece::Dir,
            _ => return Err(format!("names the unknown variable `{name}`")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The parts of a key, without the characters between them.
struct KeyParts<'a> {
    folder: &'a str,
    stem: &'a str,
    extension: &'a str,
}

impl<'a> KeyParts<'a> {
    /// Splits a key. A leading dot starts a name, not an extension.
    fn of(key: &'a str) -> Self {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => Self { folder, stem, extension },
            _ => Self { folder, stem: name, extension: "" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn upload(bucket: &str, key: &str) -> Upload {
        Upload { bucket: bucket.to_owned(), key: key.to_owned(), ..Upload::default() }
    }

    fn expand(template: &str, key: &str) -> String {
        DestinationTemplate::parse(template).unwrap().expand(&upload("up", key))
    }

    #[test]
    fn only_the_last_extension_is_stripped() {
        for (key, expected) in [
            ("a.b.mp4", "s3://out/a.b|mp4|"),
            ("x/y/a.b.mp4", "s3://out/a.b|mp4|x/y"),
            ("noextension", "s3://out/noextension||"),
            ("v1.2/noextension", "s3://out/noextension||v1.2"),
            (".mp4", "s3://out/.mp4||"),
            ("x/.mp4", "s3://out/.mp4||x"),
            ("dot.", "s3://out/dot||"),
            ("🎬 film.mov", "s3://out/🎬 film|mov|"),
        ] {
            assert_eq!(expand("s3://out/{stem}|{ext}|{dir}", key), expected, "{key}");
        }
    }

    #[test]
    fn equal_stems_stay_apart_by_default() {
        let default = DestinationTemplate::default();
        assert_eq!(default, DestinationTemplate::parse("s3://renditions/{key}/").unwrap());
        assert_eq!(default.expand(&upload("up", "x/a.mp4")), "s3://renditions/x/a.mp4/");
        assert_eq!(default.expand(&upload("up", "x/a.mov")), "s3://renditions/x/a.mov/");
    }

    #[test]
    fn key_is_never_parsed_as_template() {
        assert_eq!(expand("s3://{bucket}/{bucket}/{key}/", "{stem}{x.mp4"), "s3://up/up/{stem}{x.mp4/");
    }

    #[test]
    fn key_is_never_taken_as_variables_of_mediaconvert() {
        for (key, expected) in [
            ("$dt$.mp4", "s3://out/$d$/$$dt$$.mp4/$$dt$$|mp4|"),
            ("$d$/5$.$fn$", "s3://out/$d$/$$d$$/5$$.$$fn$$/5$$|$$fn$$|$$d$$"),
            ("$$.mp4", "s3://out/$d$/$$$$.mp4/$$$$|mp4|"),
        ] {
            assert_eq!(expand("s3://out/$d$/{key}/{stem}|{ext}|{dir}", key), expected, "{key}");
        }
    }

    #[test]
    fn empty_folder_leaves_no_double_slash() {
        assert_eq!(expand("s3://out/{dir}/{stem}/", "a.mp4"), "s3://out/a/");
        assert_eq!(expand("s3://out/{dir}/{stem}/", "x/y/a.mp4"), "s3://out/x/y/a/");
    }

    #[test]
    fn bad_template_is_refused_with_reason() {
        for (template, reason) in [
            ("/tmp/{key}", "does not start with `s3://`"),
            ("s3://out", "has no `/` after its bucket"),
            ("s3:///x", "has no bucket"),
            ("s3://a{bucket}/x", "mixes text and variables in its bucket"),
            ("s3://{key}/x", "mixes text and variables in its bucket"),
            ("s3://out/{name}/", "names the unknown variable `name`"),
            ("s3://out/{key", "has a `{` that is never closed"),
        ] {
            let error = DestinationTemplate::parse(template).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert_eq!(error.to_string(), format!("destination `{template}` {reason}"));
        }
    }

    #[test]
    fn destination_knows_which_keys_it_contains() {
        for (template, bucket, key, inside) in [
            ("s3://up/out/{key}/", "up", "out/a.mp4", true),
            ("s3://up/out/{key}/", "up", "in/a.mp4", false),
            ("s3://up/out/{key}/", "up", "outside/a.mp4", false),
            ("s3://up/out/{key}/", "other", "out/a.mp4", false),
            ("s3://{bucket}/out/{key}/", "any", "out/a.mp4", true),
            ("s3://{bucket}/out/{key}/", "any", "in/a.mp4", false),
            ("s3://{bucket}/{dir}/out/", "any", "in/a.mp4", true),
            ("s3://up/", "up", "a.mp4", true),
        ] {
            let template = DestinationTemplate::parse(template).unwrap();
            assert_eq!(template.contains(&upload(bucket, key)), inside, "{template:?} {bucket} {key}");
        }
    }
}
