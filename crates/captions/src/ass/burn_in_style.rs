//! The style of burnt-in captions. Resolves a job's settings to colours, opacities and sizes, with defaults
//! for everything left out. Clamps values that are out of range, without reporting them.
//!
//! The members are those of MediaConvert's `BurninDestinationSettings`, with the meaning that AWS's service
//! model gives them. Where AWS does not specify something, the comment says "our choice".

use serde::{Deserialize, Serialize};

use crate::{Rgb, Span, Style, StylePassthrough};

/// The default text colour.
const WHITE: Rgb = Rgb::from_hex(0xff_ff_ff);

/// A named colour, at full saturation (our choice: AWS does not document the values).
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
    /// `GREEN`, as bright as in television captions.
    Green,
    /// `BLUE`.
    Blue,
}

impl NamedColour {
    /// Returns the RGB value.
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
    /// `AUTO` or left out: the input's colour if styles pass through and it has one, otherwise white.
    #[default]
    Auto,
    /// A named colour.
    Named(NamedColour),
    /// `HEX`, with the value of `HexFontColor`.
    Hex {
        /// The colour.
        rgb: Rgb,
        /// Opacity from the last two of eight digits, 0 to 255. A font opacity overrides it.
        opacity: Option<u8>,
    },
}

impl FontColour {
    /// Parses `HexFontColor`: six hexadecimal digits (red, green, blue), or eight with the opacity last.
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

/// The colour of the box or shadow behind text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackdropColour {
    /// `AUTO` or left out: the input's colour if styles pass through and it has one, otherwise black.
    #[default]
    Auto,
    /// `NONE`: no box or shadow.
    None,
    /// `BLACK`.
    Black,
    /// `WHITE`.
    White,
}

impl BackdropColour {
    /// Returns the colour, where `of_input` is the input's; `None` for `NONE`.
    fn rgb(self, of_input: Option<Rgb>) -> Option<Rgb> {
        match self {
            Self::Auto => Some(of_input.unwrap_or(NamedColour::Black.rgb())),
            Self::None => None,
            Self::Black => Some(NamedColour::Black.rgb()),
            Self::White => Some(NamedColour::White.rgb()),
        }
    }
}

/// Horizontal alignment of lines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BurnInAlignment {
    /// `AUTO` or left out: the input's alignment if styles pass through, otherwise centred.
    #[default]
    Auto,
    /// `CENTERED`: around the centre of the frame, or around the horizontal position if there is one.
    Centered,
    /// `LEFT`: from the left, or from the horizontal position if there is one.
    Left,
}

/// Which text the font colour applies to, if styles pass through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyFontColour {
    /// `WHITE_TEXT_ONLY`, the default: text that is white or has no colour in the input.
    #[default]
    WhiteTextOnly,
    /// `ALL_TEXT`: all text.
    AllText,
}

/// The style of burnt-in captions. The default is MediaConvert's: white with a black outline, centred at the
/// bottom, sized to the frame, without box or shadow, regardless of the input's styles.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BurnInStyle {
    /// Font family, by its system name. Default if `None` or empty: `Sans`, which every fontconfig resolves.
    pub font_family: Option<String>,
    /// Line height in pixels, up to 96: the font's ascent plus descent, by which libass sizes fonts. Default if
    /// `None` or 0: 1/18 of the frame's shorter side. That is ffmpeg's ratio for text subtitles (16 of 288
    /// lines) and close to WebVTT's (letters of 5 % of the height, plus the space between lines).
    pub font_size: Option<u32>,
    /// Text colour.
    pub font_colour: FontColour,
    /// Which text `font_colour` applies to, if styles pass through.
    pub apply_font_colour: ApplyFontColour,
    /// Opacity of text and outline, 0 to 255. Default: that of a hexadecimal font colour, otherwise 255.
    pub font_opacity: Option<u8>,
    /// Outline colour. Default: black.
    pub outline_colour: Option<NamedColour>,
    /// Outline width in pixels, 0 to 10. Default: 1/16 of the font size (ffmpeg's ratio), 1 to 10.
    pub outline_size: Option<u32>,
    /// Colour of the box behind the text.
    pub background_colour: BackdropColour,
    /// Opacity of the box, 0 to 255. Default: 0, or 255 behind text that has a background in the input, if
    /// styles pass through.
    pub background_opacity: Option<u8>,
    /// Shadow colour.
    pub shadow_colour: BackdropColour,
    /// Opacity of the shadow, 0 to 255. Default: 0, because neither SubRip nor WebVTT can describe shadows.
    pub shadow_opacity: Option<u8>,
    /// Shadow offset to the right in pixels; negative to the left. Default: 2 (our choice).
    pub shadow_x_offset: Option<i32>,
    /// Shadow offset downwards in pixels; negative upwards. Default: 2 (our choice).
    pub shadow_y_offset: Option<i32>,
    /// Horizontal alignment of lines.
    pub alignment: BurnInAlignment,
    /// Pixels from the left edge of the frame to the start of the text, or to its centre if it is centred.
    /// Default: by `alignment`.
    pub x_position: Option<u32>,
    /// Pixels from the top edge of the frame to the top of the text. Default: at the bottom, or where the input
    /// says.
    pub y_position: Option<u32>,
    /// Whether the input's styles and placements are used.
    pub style_passthrough: StylePassthrough,
}

impl BurnInStyle {
    /// Returns the line height in pixels. `shorter_side` is the length of the frame's shorter side in pixels.
    pub(crate) fn line_height(&self, shorter_side: u32) -> u32 {
        self.font_size.filter(|&size| size > 0).unwrap_or((shorter_side / 18).max(1))
    }

    /// Returns the outline width in pixels.
    pub(crate) fn outline_width(&self, line_height: u32) -> u32 {
        self.outline_size.unwrap_or(((line_height + 8) / 16).max(1)).min(10)
    }

    /// Returns the text opacity.
    pub(crate) fn text_opacity(&self) -> u8 {
        let of_colour = match self.font_colour {
            FontColour::Hex { opacity, .. } => opacity,
            _ => None,
        };
        self.font_opacity.or(of_colour).unwrap_or(255)
    }

    /// Returns the colour of text that has no colour in the input.
    pub(crate) fn text_colour(&self) -> Rgb {
        self.font_colour.rgb().unwrap_or(WHITE)
    }

    /// Returns the style of a span, always with a colour.
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

    /// Returns the colour and opacity of the box behind text, where `of_input` is the text's background in the
    /// input; `None` if the box is invisible.
    pub(crate) fn background(&self, of_input: Option<Rgb>) -> Option<(Rgb, u8)> {
        let of_input = of_input.filter(|_| self.style_passthrough.is_enabled());
        let opacity = self.background_opacity.unwrap_or(if of_input.is_some() { 255 } else { 0 });
        self.background_colour.rgb(of_input).map(|rgb| (rgb, opacity)).filter(|_| opacity > 0)
    }

    /// Returns the colour and opacity of the shadow; `None` if it is invisible.
    pub(crate) fn shadow(&self) -> Option<(Rgb, u8)> {
        let opacity = self.shadow_opacity.filter(|&opacity| opacity > 0)?;
        self.shadow_colour.rgb(None).map(|rgb| (rgb, opacity)).filter(|_| self.shadow_offset() != (0, 0))
    }

    /// Returns the shadow offset to the right and down, each clamped to 16,384 pixels.
    pub(crate) fn shadow_offset(&self) -> (i32, i32) {
        let bounded = |offset: Option<i32>| offset.unwrap_or(2).clamp(-16_384, 16_384);
        (bounded(self.shadow_x_offset), bounded(self.shadow_y_offset))
    }
}

#[cfg(test)]
#[path = "burn_in_style_tests.rs"]
mod tests;
