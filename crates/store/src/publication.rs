//! A publication: the files of one job that become visible together, and that can be taken back together. This file
//! has the types; each back end has its own way (see [`ObjectStore`](crate::ObjectStore)).
//!
//! The way is the same everywhere: **stage** (durable, not visible), **switch** (visible; what stood there is kept),
//! then either **settle** (what was kept is dropped) or **take back** (what stood there stands there again). Each call
//! may be repeated, also after a crash.

use std::path::{Path, PathBuf};

use crate::{ObjectAttributes, ObjectUrl};

/// Names a publication and says where back ends may keep their notes about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    id: String,
    folder: PathBuf,
}

impl Publication {
    /// Makes a publication. `id` is unique and a plain file name, such as a job's id. `folder` belongs to it alone and
    /// must stay until it is settled or taken back; a back end creates it when it needs it.
    pub fn new(id: impl Into<String>, folder: PathBuf) -> Self {
        Self { id: id.into(), folder }
    }

    /// Returns the unique name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the folder of the notes. Kept objects lie there, too, if their back end cannot keep them itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the part of this publication that lies in one of several back ends.
    pub(crate) fn within(&self, back_end: &str) -> Self {
        Self { id: self.id.clone(), folder: self.folder.join(back_end) }
    }
}

/// A local file that is to become an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewFile {
    /// The file. It must not change any more.
    pub source: PathBuf,
    /// Where it becomes visible.
    pub url: ObjectUrl,
    /// What is stored with it.
    pub attributes: ObjectAttributes,
    /// Where a back end makes files visible one after the other, those with a lower number come first. So files that
    /// name others get a higher number than these.
    pub turn: u8,
}
