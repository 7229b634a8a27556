//! How burnt-in captions look: in what a job's settings say, out colours, opacities and sizes with every gap filled.
//! Never a check of ranges for people: what is out of range is brought into it.
//!
//! The members are those of MediaConvert's `BurninDestinationSettings`, with the meaning that AWS's service model gives
//! them. What AWS leaves open is marked as our choice.

use serde::{Deserialize, Serialize};

use crate::{Rgb, Span, Style, StylePassthrough};

/// White, the colour of text when nobody says another.
const WHITE: Rgb = Rgb::from_hex(0xff_ff_ff);

/// A colour that settings call by name, at full strength (our choice: AWS tells no values).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedColour {
    /// `WHITE`.
    White,
    /// `BLACK`.
    Black,
    /// `YELLOW`.
    Yellow,
    /// `RED`.
    Red,
    /// `GREEN`, as bright as captions of television have it.
    Green,
    /// `BLUE`.
    Blue,
}

impl NamedColour {
    /// The colour.
    pub fn rgb(self) -> Rgb {
        Rgb::from_hex(match self {
            Self::White => 0xff_ff_ff,
            Self::Black => 0x00_00_00,
            Self::Yellow => 0xff_ff_00,
            Self::Red => 0xff_00_00,
            Self::Green => 0x00_ff_00,
            Self::Blue => 0x00_00_ff,
        })
    }
}

/// The colour of text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FontColour {
    /// `AUTO` or left out: the input's colour where styles pass through and it has one, else white.
    #[default]
    Auto,
    /// A name.
    Named(NamedColour),
    /// `HEX`, with the value of `HexFontColor`.
    Hex {
        /// The colour.
        rgb: Rgb,
        /// The opacity of the last two digits of eight, 0 to 255; a font opacity counts more than it.
        opacity: Option<u8>,
    },
}

impl FontColour {
    /// Reads `HexFontColor`: six hexadecimal digits (red, green, blue), or eight with the opacity last.
    pub fn parse_hex(digits: &str) -> Option<Self> {
        let rgb = Rgb::parse_hex(digits.get(..6)?)?;
        match digits.get(6..)? {
            "" => Some(Self::Hex { rgb, opacity: None }),
            alpha => {
                let opacity = Rgb::parse_hex(&format!("0000{alpha}"))?.blue;
                Some(Self::Hex { rgb, opacity: Some(opacity) })
            }
        }
    }

    fn rgb(self) -> Option<Rgb> {
        match self {
            Self::Auto => None,
            Self::Named(name) => Some(name.rgb()),
            Self::Hex { rgb, .. } => Some(rgb),
        }
    }
}

/// The colour of what lies behind text: of its box or its shadow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackdropColour {
    /// `AUTO` or left out: the input's where styles pass through and it has one, else black.
    #[default]
    Auto,
    /// `NONE`: there is none.
    None,
    /// `BLACK`.
    Black,
    /// `WHITE`.
    White,
}

impl BackdropColour {
    /// The colour, given the input's; nothing for `NONE`.
    fn rgb(self, of_input: Option<Rgb>) -> Option<Rgb> {
        match self {
            Self::Auto => Some(of_input.unwrap_or(NamedColour::Black.rgb())),
            Self::None => None,
            Self::Black => Some(NamedColour::Black.rgb()),
            Self::White => Some(NamedColour::White.rgb()),
        }
    }
}

/// How lines lie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BurnInAlignment {
    /// `AUTO` or left out: as the input says where styles pass through, else centred.
    #[default]
    Auto,
    /// `CENTERED`: around the middle of the picture, or around the horizontal position when there is one.
    Centered,
    /// `LEFT`: from the left, or from the horizontal position when there is one.
    Left,
}

/// Which text a font colour is for, where styles pass through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyFontColour {
    /// `WHITE_TEXT_ONLY`, the default: text that is white or has no colour in the input.
    #[default]
    WhiteTextOnly,
    /// `ALL_TEXT`: all.
    AllText,
}

/// How burnt-in captions look. The default is MediaConvert's: white, outlined in black, at the bottom, in the middle,
/// as large as the picture wants, without box or shadow, whatever the input says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BurnInStyle {
    /// The family of the font, as the system names it; none or empty: `Sans`, which every fontconfig knows.
    pub font_family: Option<String>,
    /// The height of a line in pixels (of the font's ascent and descent, which is what libass sizes by), up to 96;
    /// none or 0: automatic, 1/18 of the picture's shorter side. That is ffmpeg's share for text subtitles (16 of 288
    /// lines) and close to WebVTT's (letters of 5 % of the height, with the room that lines need).
    pub font_size: Option<u32>,
    /// The colour of text.
    pub font_colour: FontColour,
    /// Which text `font_colour` is for, where styles pass through.
    pub apply_font_colour: ApplyFontColour,
    /// The opacity of text and its outline, 0 to 255; none: 255, or what a hexadecimal font colour says.
    pub font_opacity: Option<u8>,
    /// The colour of the outline; none: black.
    pub outline_colour: Option<NamedColour>,
    /// The width of the outline in pixels, 0 to 10; none: 1/16 of the font's size (ffmpeg's share), 1 to 10.
    pub outline_size: Option<u32>,
    /// The colour of the box behind the text.
    pub background_colour: BackdropColour,
    /// The opacity of the box, 0 to 255; none: 0, or 255 behind text whose background the input tells, where styles
    /// pass through.
    pub background_opacity: Option<u8>,
    /// The colour of the shadow.
    pub shadow_colour: BackdropColour,
    /// The opacity of the shadow, 0 to 255; none: 0, since neither SubRip nor WebVTT can tell of shadows.
    pub shadow_opacity: Option<u8>,
    /// How far the shadow lies to the right in pixels, to the left when negative; none: 2 (our choice).
    pub shadow_x_offset: Option<i32>,
    /// How far the shadow lies below in pixels, above when negative; none: 2 (our choice).
    pub shadow_y_offset: Option<i32>,
    /// How lines lie.
    pub alignment: BurnInAlignment,
    /// Pixels from the picture's left to where text starts, or to its middle when it is centred; none: by `alignment`.
    pub x_position: Option<u32>,
    /// Pixels from the picture's top to the top of the text; none: at the bottom, or where the input says.
    pub y_position: Option<u32>,
    /// Whether looks and places of the input count.
    pub style_passthrough: StylePassthrough,
}

impl BurnInStyle {
    /// The height of a line in pixels, in a picture whose shorter side has so many.
    pub(crate) fn line_height(&self, shorter_side: u32) -> u32 {
        self.font_size.filter(|&size| size > 0).unwrap_or((shorter_side / 18).max(1))
    }

    /// The width of the outline in pixels.
    pub(crate) fn outline_width(&self, line_height: u32) -> u32 {
        self.outline_size.unwrap_or(((line_height + 8) / 16).max(1)).min(10)
    }

    /// The opacity of text.
    pub(crate) fn text_opacity(&self) -> u8 {
        let of_colour = match self.font_colour {
            FontColour::Hex { opacity, .. } => opacity,
            _ => None,
        };
        self.font_opacity.or(of_colour).unwrap_or(255)
    }

    /// The colour of text that has no colour in the input.
    pub(crate) fn text_colour(&self) -> Rgb {
        self.font_colour.rgb().unwrap_or(WHITE)
    }

    /// The look of a piece of text; its colour is always told.
    pub(crate) fn look_of(&self, span: &Span) -> Style {
        if !self.style_passthrough.is_enabled() {
            return Style { colour: Some(self.text_colour()), ..Style::default() };
        }
        let of_input = span.style.colour.filter(|_| match self.apply_font_colour {
            ApplyFontColour::AllText => self.font_colour == FontColour::Auto,
            ApplyFontColour::WhiteTextOnly => span.style.colour != Some(WHITE),
        });
        Style { colour: Some(of_input.unwrap_or(self.text_colour())), ..span.style }
    }

    /// Colour and opacity of the box behind text, whose background in the input is `of_input`; nothing when none is
    /// to be seen.
    pub(crate) fn background(&self, of_input: Option<Rgb>) -> Option<(Rgb, u8)> {
        let of_input = of_input.filter(|_| self.style_passthrough.is_enabled());
        let opacity = self.background_opacity.unwrap_or(if of_input.is_some() { 255 } else { 0 });
        self.background_colour.rgb(of_input).map(|rgb| (rgb, opacity)).filter(|_| opacity > 0)
    }

    /// Colour and opacity of the shadow; nothing when none is to be seen.
    pub(crate) fn shadow(&self) -> Option<(Rgb, u8)> {
        let opacity = self.shadow_opacity.filter(|&opacity| opacity > 0)?;
        self.shadow_colour.rgb(None).map(|rgb| (rgb, opacity)).filter(|_| self.shadow_offset() != (0, 0))
    }

    /// The shadow's offset to the right and down, not longer than the largest picture.
    pub(crate) fn shadow_offset(&self) -> (i32, i32) {
        let bounded = |offset: Option<i32>| offset.unwrap_or(2).clamp(-16_384, 16_384);
        (bounded(self.shadow_x_offset), bounded(self.shadow_y_offset))
    }
}

#[cfg(test)]
#[path = "burn_in_style_tests.rs"]
mod tests;
