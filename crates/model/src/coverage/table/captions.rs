//! The table's rows for captions: members of caption selectors and caption descriptions.

use super::super::State::{self, Advised, Harmless, Honoured, Only};

const OF_SCC: State = Harmless("applies only to SCC and STL files, which are refused");

/// Members of `CaptionSelector`.
pub(super) const CAPTION_SELECTOR_MEMBERS: &[(&str, State)] = &[
    ("languageCode", Honoured),
    ("customLanguageCode", Honoured),
    ("sourceSettings/sourceType", Only(&["SRT", "WEBVTT", "NULL_SOURCE"])),
    ("sourceSettings/fileSourceSettings/sourceFile", Honoured),
    ("sourceSettings/fileSourceSettings/timeDelta", Honoured),
    ("sourceSettings/fileSourceSettings/timeDeltaUnits", Honoured),
    ("sourceSettings/fileSourceSettings/byteRateLimit", OF_SCC),
    ("sourceSettings/fileSourceSettings/convert608To708", OF_SCC),
    ("sourceSettings/fileSourceSettings/convertPaintToPop", OF_SCC),
    ("sourceSettings/fileSourceSettings/framerate/framerateNumerator", OF_SCC),
    ("sourceSettings/fileSourceSettings/framerate/framerateDenominator", OF_SCC),
    ("sourceSettings/fileSourceSettings/upconvertSTLToTeletext", OF_SCC),
];

const OWN_FONTS: State = Advised(
    "only the system's fonts are used: install the font on the machine and let fallbackFont choose the kind",
);

/// Members of `CaptionDescription`.
pub(super) const CAPTION_MEMBERS: &[(&str, State)] = &[
    ("captionSelectorName", Honoured),
    ("languageCode", Honoured),
    ("customLanguageCode", Honoured),
    ("languageDescription", Honoured),
    ("destinationSettings/destinationType", Only(&["BURN_IN", "SRT", "WEBVTT"])),
    ("destinationSettings/srtDestinationSettings/stylePassthrough", Honoured),
    ("destinationSettings/webvttDestinationSettings/accessibility", Honoured),
    (
        "destinationSettings/webvttDestinationSettings/stylePassthrough",
        Only(&["ENABLED", "DISABLED", "MERGE"]),
    ),
    ("destinationSettings/burninDestinationSettings/alignment", Honoured),
    ("destinationSettings/burninDestinationSettings/applyFontColor", Honoured),
    ("destinationSettings/burninDestinationSettings/backgroundColor", Honoured),
    ("destinationSettings/burninDestinationSettings/backgroundOpacity", Honoured),
    ("destinationSettings/burninDestinationSettings/fallbackFont", Honoured),
    ("destinationSettings/burninDestinationSettings/fontColor", Honoured),
    ("destinationSettings/burninDestinationSettings/fontFileBold", OWN_FONTS),
    ("destinationSettings/burninDestinationSettings/fontFileBoldItalic", OWN_FONTS),
    ("destinationSettings/burninDestinationSettings/fontFileItalic", OWN_FONTS),
    ("destinationSettings/burninDestinationSettings/fontFileRegular", OWN_FONTS),
    ("destinationSettings/burninDestinationSettings/fontOpacity", Honoured),
    (
        "destinationSettings/burninDestinationSettings/fontResolution",
        Harmless("glyphs are drawn from outlines"),
    ),
    (
        "destinationSettings/burninDestinationSettings/fontScript",
        Harmless("glyphs of every script are found automatically"),
    ),
    ("destinationSettings/burninDestinationSettings/fontSize", Honoured),
    ("destinationSettings/burninDestinationSettings/hexFontColor", Honoured),
    ("destinationSettings/burninDestinationSettings/outlineColor", Honoured),
    ("destinationSettings/burninDestinationSettings/outlineSize", Honoured),
    (
        "destinationSettings/burninDestinationSettings/removeRubyReserveAttributes",
        Harmless("applies only to IMSC captions, which are refused"),
    ),
    ("destinationSettings/burninDestinationSettings/shadowColor", Honoured),
    ("destinationSettings/burninDestinationSettings/shadowOpacity", Honoured),
    ("destinationSettings/burninDestinationSettings/shadowXOffset", Honoured),
    ("destinationSettings/burninDestinationSettings/shadowYOffset", Honoured),
    ("destinationSettings/burninDestinationSettings/stylePassthrough", Honoured),
    (
        "destinationSettings/burninDestinationSettings/teletextSpacing",
        Harmless("applies only to teletext captions, which are refused"),
    ),
    ("destinationSettings/burninDestinationSettings/xPosition", Honoured),
    ("destinationSettings/burninDestinationSettings/yPosition", Honoured),
];
