//! Translates AWS's settings for burnt-in captions into a style. Ranges were checked against AWS's model
//! before.

use abanico_captions::{
    ApplyFontColour, BackdropColour, BurnInAlignment, BurnInStyle, FontColour, NamedColour, StylePassthrough,
};
use abanico_model::generated::{
    BurnInSubtitleStylePassthrough, BurninDestinationSettings, BurninSubtitleAlignment,
    BurninSubtitleApplyFontColor, BurninSubtitleBackgroundColor, BurninSubtitleFallbackFont,
    BurninSubtitleFontColor, BurninSubtitleOutlineColor, BurninSubtitleShadowColor, CaptionDescription,
};

use crate::Error;

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
        apply_font_colour: match &settings.apply_font_color {
            Some(BurninSubtitleApplyFontColor::AllText) => ApplyFontColour::AllText,
            None
            | Some(BurninSubtitleApplyFontColor::WhiteTextOnly | BurninSubtitleApplyFontColor::Other(_)) => {
                ApplyFontColour::WhiteTextOnly
            }
        },
        font_opacity: opacity(settings.font_opacity),
        outline_colour: settings.outline_color.as_ref().and_then(outline),
        outline_size: whole(settings.outline_size),
        background_colour: settings.background_color.as_ref().map_or(BackdropColour::Auto, background),
        background_opacity: opacity(settings.background_opacity),
        shadow_colour: settings.shadow_color.as_ref().map_or(BackdropColour::Auto, shadow),
        shadow_opacity: opacity(settings.shadow_opacity),
        shadow_x_offset: offset(settings.shadow_x_offset),
        shadow_y_offset: offset(settings.shadow_y_offset),
        alignment: match &settings.alignment {
            Some(BurninSubtitleAlignment::Centered) => BurnInAlignment::Centered,
            Some(BurninSubtitleAlignment::Left) => BurnInAlignment::Left,
            None | Some(BurninSubtitleAlignment::Auto | BurninSubtitleAlignment::Other(_)) => {
                BurnInAlignment::Auto
            }
        },
        x_position: whole(settings.x_position),
        y_position: whole(settings.y_position),
        style_passthrough: match &settings.style_passthrough {
            Some(BurnInSubtitleStylePassthrough::Enabled) => StylePassthrough::Enabled,
            None
            | Some(BurnInSubtitleStylePassthrough::Disabled | BurnInSubtitleStylePassthrough::Other(_)) => {
                StylePassthrough::Disabled
            }
        },
    })
}

/// Maps AWS's fallback fonts to generic families that every fontconfig knows.
fn font_family(settings: &BurninDestinationSettings) -> Option<String> {
    let family = match settings.fallback_font.as_ref()? {
        BurninSubtitleFallbackFont::MonospacedSansserif | BurninSubtitleFallbackFont::MonospacedSerif => {
            "Monospace"
        }
        BurninSubtitleFallbackFont::ProportionalSerif => "Serif",
        BurninSubtitleFallbackFont::ProportionalSansserif => "Sans",
        BurninSubtitleFallbackFont::BestMatch | BurninSubtitleFallbackFont::Other(_) => return None,
    };
    Some(family.to_owned())
}

fn font_colour(settings: &BurninDestinationSettings, pointer: &str) -> Result<FontColour, Error> {
    use BurninSubtitleFontColor::{Auto, Black, Blue, Green, Hex, Other, Red, White, Yellow};

    let named = match &settings.font_color {
        Some(Hex) => {
            let digits = settings.hex_font_color.as_deref().unwrap_or_default();
            let pointer = format!("{pointer}/destinationSettings/burninDestinationSettings/hexFontColor");
            let why = format!(
                "`{digits}` is not a colour: use six hexadecimal digits, or eight with the opacity last"
            );
            return FontColour::parse_hex(digits).ok_or_else(|| Error::setting(&pointer, &why));
        }
        None | Some(Auto | Other(_)) => return Ok(FontColour::Auto),
        Some(White) => NamedColour::White,
        Some(Black) => NamedColour::Black,
        Some(Yellow) => NamedColour::Yellow,
        Some(Red) => NamedColour::Red,
        Some(Green) => NamedColour::Green,
        Some(Blue) => NamedColour::Blue,
    };
    Ok(FontColour::Named(named))
}

fn outline(colour: &BurninSubtitleOutlineColor) -> Option<NamedColour> {
    use BurninSubtitleOutlineColor::{Auto, Black, Blue, Green, Other, Red, White, Yellow};

    Some(match colour {
        Auto | Other(_) => return None,
        White => NamedColour::White,
        Black => NamedColour::Black,
        Yellow => NamedColour::Yellow,
        Red => NamedColour::Red,
        Green => NamedColour::Green,
        Blue => NamedColour::Blue,
    })
}

fn background(colour: &BurninSubtitleBackgroundColor) -> BackdropColour {
    match colour {
        BurninSubtitleBackgroundColor::None => BackdropColour::None,
        BurninSubtitleBackgroundColor::Black => BackdropColour::Black,
        BurninSubtitleBackgroundColor::White => BackdropColour::White,
        BurninSubtitleBackgroundColor::Auto | BurninSubtitleBackgroundColor::Other(_) => BackdropColour::Auto,
    }
}

fn shadow(colour: &BurninSubtitleShadowColor) -> BackdropColour {
    match colour {
        BurninSubtitleShadowColor::None => BackdropColour::None,
        BurninSubtitleShadowColor::Black => BackdropColour::Black,
        BurninSubtitleShadowColor::White => BackdropColour::White,
        BurninSubtitleShadowColor::Auto | BurninSubtitleShadowColor::Other(_) => BackdropColour::Auto,
    }
}
