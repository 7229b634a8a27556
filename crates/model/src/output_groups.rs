//! The kinds of output groups, in one table: how AWS names each kind and its parts, and what abanico makes of it.
//!
//! A new kind is a new row here. What the row does not say, such as how a manifest is written, is code elsewhere.

use serde::{Deserialize, Serialize};

use crate::generated::{ContainerType, OutputGroupType};

/// A kind of output group that abanico makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Each output is one file.
    File,
    /// Apple HLS: each output is a stream of segments.
    Hls,
    /// CMAF: each output is a fragmented stream, listed for HLS and DASH.
    Cmaf,
    /// MPEG-DASH: each output is a fragmented stream.
    Dash,
}

impl GroupKind {
    /// Returns the kind's row of the table.
    #[must_use]
    pub fn facts(self) -> &'static GroupFacts {
        match self {
            Self::File => &FILE,
            Self::Hls => &HLS,
            Self::Cmaf => &CMAF,
            Self::Dash => &DASH,
        }
    }
}

/// One kind of output group: a row of the table.
#[derive(Debug)]
pub struct GroupFacts {
    /// Its `type` in `outputGroupSettings`.
    pub group_type: OutputGroupType,
    /// Member of `outputGroupSettings` with the settings of this kind, among them the destination.
    pub member: &'static str,
    /// Its name in messages.
    pub name: &'static str,
    /// Containers that AWS takes in its outputs.
    pub containers: &'static [ContainerType],
    /// Its type in events.
    pub event_type: &'static str,
    /// Whether events and jobs report the path of each output, rather than only the manifests (MediaConvert's user guide
    /// on events).
    pub tells_paths: bool,
    /// How its outputs are cut and named; `None` if each output is one file.
    pub streams: Option<StreamFacts>,
    /// Whether abanico makes it.
    pub support: Support,
}

/// Whether abanico makes a kind of output group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// It does.
    Made(GroupKind),
    /// It does not; this says what to use instead.
    Instead(&'static str),
}

/// How the outputs of a kind of group are cut and named.
#[derive(Debug)]
pub struct StreamFacts {
    /// Their container.
    pub container: ContainerType,
    /// Where an output has the settings of its role among the others.
    pub role_member: &'static str,
    /// Default length of a segment in seconds (AWS's service model).
    pub segment_seconds: u64,
    /// Digits in a segment's number.
    pub digits: usize,
    /// Extension of media files with video.
    pub video_extension: &'static str,
    /// Extension of media files with audio alone.
    pub audio_extension: &'static str,
    /// The manifests that list them, in the order in which events report them.
    pub manifests: &'static [Manifest],
}

/// A form of manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manifest {
    /// A media presentation description for DASH.
    Mpd,
    /// Playlists for HLS.
    Playlists,
}

impl Manifest {
    /// Returns the extension of its files.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mpd => "mpd",
            Self::Playlists => "m3u8",
        }
    }
}

impl GroupFacts {
    /// Returns the row of a `type`; `None` if AWS's model does not list it.
    #[must_use]
    pub fn of_type(name: &str) -> Option<&'static Self> {
        GROUPS.into_iter().find(|facts| facts.group_type.text() == name)
    }

    /// Returns the row of the groups whose outputs have this container. For one that no kind has, it is the file groups'.
    #[must_use]
    pub fn of_container(name: &str) -> &'static Self {
        let has = |facts: &&Self| facts.containers.iter().any(|container| container.text() == name);
        GROUPS.into_iter().find(has).unwrap_or(&FILE)
    }
}

/// Number of kinds.
const KINDS: usize = 5;

/// All kinds, in the order of their members.
pub static GROUPS: [&GroupFacts; KINDS] = [&CMAF, &DASH, &FILE, &HLS, &MS_SMOOTH];

/// The types of [`GROUPS`], in the same order.
pub(crate) static TYPES: [&str; KINDS] = [
    CMAF.group_type.text(),
    DASH.group_type.text(),
    FILE.group_type.text(),
    HLS.group_type.text(),
    MS_SMOOTH.group_type.text(),
];

/// The types that abanico makes, as messages list them.
pub static MADE: [&str; 4] =
    [FILE.group_type.text(), HLS.group_type.text(), CMAF.group_type.text(), DASH.group_type.text()];

/// What to use instead of the kind that abanico does not make.
pub(crate) const INSTEAD_OF_SMOOTH: &str =
    "for Microsoft Smooth Streaming use CMAF_GROUP_SETTINGS, which today's players take";

static FILE: GroupFacts = GroupFacts {
    group_type: OutputGroupType::FileGroupSettings,
    member: "fileGroupSettings",
    name: "file",
    containers: &[
        ContainerType::F4v,
        ContainerType::Gif,
        ContainerType::M2ts,
        ContainerType::Mov,
        ContainerType::Mp4,
        ContainerType::Mxf,
        ContainerType::Ogg,
        ContainerType::Raw,
        ContainerType::Webm,
        ContainerType::Y4m,
    ],
    event_type: "FILE_GROUP",
    tells_paths: true,
    streams: None,
    support: Support::Made(GroupKind::File),
};

static HLS: GroupFacts = GroupFacts {
    group_type: OutputGroupType::HlsGroupSettings,
    member: "hlsGroupSettings",
    name: "HLS",
    containers: &[ContainerType::M3u8],
    event_type: "HLS_GROUP",
    tells_paths: true,
    streams: Some(StreamFacts {
        container: ContainerType::M3u8,
        role_member: "outputSettings/hlsSettings",
        segment_seconds: 10,
        digits: 5,
        video_extension: "ts",
        audio_extension: "ts",
        manifests: &[Manifest::Playlists],
    }),
    support: Support::Made(GroupKind::Hls),
};

static CMAF: GroupFacts = GroupFacts {
    group_type: OutputGroupType::CmafGroupSettings,
    member: "cmafGroupSettings",
    name: "CMAF",
    containers: &[ContainerType::Cmfc],
    event_type: "CMAF_GROUP",
    tells_paths: false,
    streams: Some(StreamFacts {
        container: ContainerType::Cmfc,
        role_member: "containerSettings/cmfcSettings",
        segment_seconds: 10,
        digits: 9,
        video_extension: "cmfv",
        audio_extension: "cmfa",
        manifests: &[Manifest::Mpd, Manifest::Playlists],
    }),
    support: Support::Made(GroupKind::Cmaf),
};

static DASH: GroupFacts = GroupFacts {
    group_type: OutputGroupType::DashIsoGroupSettings,
    member: "dashIsoGroupSettings",
    name: "DASH ISO",
    containers: &[ContainerType::Mpd],
    event_type: "DASH_ISO_GROUP",
    tells_paths: false,
    streams: Some(StreamFacts {
        container: ContainerType::Mpd,
        role_member: "containerSettings/mpdSettings",
        segment_seconds: 30,
        digits: 9,
        video_extension: "mp4",
        audio_extension: "mp4",
        manifests: &[Manifest::Mpd],
    }),
    support: Support::Made(GroupKind::Dash),
};

static MS_SMOOTH: GroupFacts = GroupFacts {
    group_type: OutputGroupType::MsSmoothGroupSettings,
    member: "msSmoothGroupSettings",
    name: "MS Smooth",
    containers: &[ContainerType::Ismv],
    event_type: "MS_SMOOTH_GROUP",
    tells_paths: false,
    streams: None,
    support: Support::Instead(INSTEAD_OF_SMOOTH),
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::shape::Shape;

    fn values(shape: &str) -> BTreeSet<&'static str> {
        match Shape::named(shape) {
            Some(Shape::Text { values, .. }) => values.iter().copied().collect(),
            other => panic!("{shape}: {other:?}"),
        }
    }

    #[test]
    fn table_has_every_type_and_container_of_the_model() {
        let types: BTreeSet<&str> = GROUPS.iter().map(|facts| facts.group_type.text()).collect();
        assert_eq!(types, values("OutputGroupType"));
        assert!(types.iter().eq(&BTreeSet::from(TYPES)));
        let containers = GROUPS.iter().flat_map(|facts| facts.containers).map(ContainerType::text);
        let named: Vec<&str> = containers.collect();
        assert_eq!(BTreeSet::from_iter(named.clone()), values("ContainerType"));
        assert_eq!(named.len(), values("ContainerType").len(), "a container belongs to one kind");
    }

    #[test]
    fn members_are_those_of_the_model() {
        let Some(Shape::Structure { members, .. }) = Shape::named("OutputGroupSettings") else { panic!() };
        let own: BTreeSet<&str> = GROUPS.iter().map(|facts| facts.member).collect();
        let known: BTreeSet<&str> =
            members.iter().map(|member| member.name).filter(|name| name.ends_with("GroupSettings")).collect();
        assert_eq!(own, known);
        let settings = |name: &str| members.iter().find(|member| member.name == name).unwrap().shape;
        for facts in GROUPS {
            let Some(Shape::Structure { members, .. }) = Shape::named(settings(facts.member)) else {
                panic!()
            };
            assert!(members.iter().any(|member| member.name == "destination"), "{}", facts.member);
            let Some(streams) = &facts.streams else { continue };
            let (parent, child) = streams.role_member.split_once('/').unwrap();
            let Some(Shape::Structure { members, .. }) = Shape::named("Output") else { panic!() };
            let parent = members.iter().find(|member| member.name == parent).unwrap();
            let Some(Shape::Structure { members, .. }) = Shape::named(parent.shape) else { panic!() };
            assert!(members.iter().any(|member| member.name == child), "{}", streams.role_member);
        }
    }

    #[test]
    fn columns_of_a_row_agree() {
        for facts in GROUPS {
            let name = facts.group_type.text();
            assert_eq!(Some(facts.event_type), name.strip_suffix("_SETTINGS"));
            assert!(std::ptr::eq(GroupFacts::of_type(name).unwrap(), facts));
            match facts.support {
                Support::Made(kind) => assert!(std::ptr::eq(kind.facts(), facts) && MADE.contains(&name)),
                Support::Instead(why) => assert!(!why.is_empty() && !MADE.contains(&name)),
            }
            if let Some(streams) = &facts.streams {
                assert_eq!(facts.containers, std::slice::from_ref(&streams.container));
                assert!(!streams.manifests.is_empty());
            }
        }
        assert!(GroupFacts::of_type("FILE_GROUP").is_none());
        assert_eq!(GroupFacts::of_container("CMFC").event_type, "CMAF_GROUP");
        assert_eq!(GroupFacts::of_container("").event_type, "FILE_GROUP");
    }
}
