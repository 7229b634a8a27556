//! Translates AWS's settings for burnt-in captions into a style. Ranges were checked against AWS's model
//! before.

use abanico_captions::{
    ApplyFontColour, BackdropColour, BurnInAlignment, BurnInStyle, FontColour, NamedColour, StylePassthrough,
};
use abanico_model::generated::{BurninDestinationSettings, CaptionDescription};

use crate::Error;
use crate::setting::text;

/// Reads the style of a description.
///
/// # Errors
/// Fails if a hexadecimal colour is malformed.
pub(crate) fn burn_in_style(description: &CaptionDescription, pointer: &str) -> Result<BurnInStyle, Error> {
    let settings = description.destination_settings.as_ref();
    let settings =
        settings.and_then(|settings| settings.burnin_destination_settings.clone()).unwrap_or_default();
    let whole = |member: Option<i64>| member.and_then(|number| u32::try_from(number).ok());
    let opacity = |member: Option<i64>| member.and_then(|number| u8::try_from(number).ok());
    let offset = |member: Option<i64>| member.and_then(|number| i32::try_from(number).ok());
    Ok(BurnInStyle {
        font_family: font_family(&settings),
        font_size: whole(settings.font_size),
        font_colour: font_colour(&settings, pointer)?,
        apply_font_colour: match text(&settings.apply_font_color) {
            Some("ALL_TEXT") => ApplyFontColour::AllText,
            _ => ApplyFontColour::WhiteTextOnly,
        },
        font_opacity: opacity(settings.font_opacity),
        outline_colour: text(&settings.outline_color).and_then(named),
        outline_size: whole(settings.outline_size),
        background_colour: backdrop(text(&settings.background_color)),
        background_opacity: opacity(settings.background_opacity),
        shadow_colour: backdrop(text(&settings.shadow_color)),
        shadow_opacity: opacity(settings.shadow_opacity),
        shadow_x_offset: offset(settings.shadow_x_offset),
        shadow_y_offset: offset(settings.shadow_y_offset),
        alignment: match text(&settings.alignment) {
            Some("CENTERED") => BurnInAlignment::Centered,
            Some("LEFT") => BurnInAlignment::Left,
            _ => BurnInAlignment::Auto,
        },
        x_position: whole(settings.x_position),
        y_position: whole(settings.y_position),
        style_passthrough: match text(&settings.style_passthrough) {
            Some("ENABLED") => StylePassthrough::Enabled,
            _ => StylePassthrough::Disabled,
        },
    })
}

/// Maps AWS's fallback fonts to generic families that every fontconfig knows.
fn font_family(settings: &BurninDestinationSettings) -> Option<String> {
    let family = match text(&settings.fallback_font)? {
        "MONOSPACED_SANSSERIF" | "MONOSPACED_SERIF" => "Monospace",
        "PROPORTIONAL_SERIF" => "Serif",
        "PROPORTIONAL_SANSSERIF" => "Sans",
        _ => return None,
    };
    Some(family.to_owned())
}

fn font_colour(settings: &BurninDestinationSettings, pointer: &str) -> Result<FontColour, Error> {
    match text(&settings.font_color) {
        Some("HEX") => {
            let digits = settings.hex_font_color.as_deref().unwrap_or_default();
            let pointer = format!("{pointer}/destinationSettings/burninDestinationSettings/hexFontColor");
            let why = format!(
                "`{digits}` is not a colour: use six hexadecimal digits, or eight with the opacity last"
            );
            FontColour::parse_hex(digits).ok_or_else(|| Error::setting(&pointer, &why))
        }
        Some(name) => Ok(named(name).map_or(FontColour::Auto, FontColour::Named)),
        None => Ok(FontColour::Auto),
    }
}

fn named(name: &str) -> Option<NamedColour> {
    Some(match name {
        "WHITE" => NamedColour::White,
        "BLACK" => NamedColour::Black,
        "YELLOW" => NamedColour::Yellow,
        "RED" => NamedColour::Red,
        "GREEN" => NamedColour::Green,
        "BLUE" => NamedColour::Blue,
        _ => return None,
    })
}

fn backdrop(name: Option<&str>) -> BackdropColour {
    match name {
        Some("NONE") => BackdropColour::None,
        Some("BLACK") => BackdropColour::Black,
        Some("WHITE") => BackdropColour::White,
        _ => BackdropColour::Auto,
    }
}
