//! Parses the XML responses of AWS's query services (CloudFormation, STS) into a small tree.
//!
//! Attributes and namespaces are dropped: these services put no data into them.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// Maximum depth of elements; AWS's deepest responses have fewer than ten levels.
const MOST_LEVELS: usize = 64;

/// An XML element.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Parses a document and returns its root element, or `None` if it is not well-formed XML.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_str(std::str::from_utf8(document).ok()?);
        // The document itself is the element around the root.
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) if open.len() <= MOST_LEVELS => {
                    open.push(Self::named(start.local_name().into_inner()))
                }
                Event::Start(_) => return None,
                Event::Empty(empty) => {
                    open.last_mut()?.children.push(Self::named(empty.local_name().into_inner()))
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
                Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().ok()?;
                    let text = &mut open.last_mut()?.text;
                    match character {
                        Some(character) => text.push(character),
                        None => text.push_str(resolve_predefined_entity(&reference)?),
                    }
                }
                Event::End(_) => {
                    let done = open.pop()?;
                    open.last_mut()?.children.push(done);
                }
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            }
        }
        let [document] = <[Self; 1]>::try_from(open).ok()?;
        document.children.into_iter().next()
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Returns the first child with this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Returns the text of the first child with this name, without surrounding white space; empty if there is none.
    pub fn text_of(&self, name: &str) -> String {
        self.child(name).map(|child| child.text.trim().to_owned()).unwrap_or_default()
    }

    /// Returns the entries of a list: the `member` elements below the child with this name.
    pub fn members(&self, name: &str) -> impl Iterator<Item = &Self> {
        let list = self.child(name).map(|list| list.children.as_slice()).unwrap_or_default();
        list.iter().filter(|child| child.name == "member")
    }

    /// Returns this element or the first one below it, in document order, that is called `name`.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_lists_and_entities() {
        let document =
            br#"<?xml version="1.0"?><A xmlns="urn:x"><R><Name> a &lt;b&gt; &amp; &#233; </Name><L>
            <member><K>1</K></member><member><K><![CDATA[2<3]]></K></member></L><Empty/></R></A>"#;
        let root = Element::parse(document).unwrap();
        let result = root.find("R").unwrap();
        assert_eq!(result.text_of("Name"), "a <b> & \u{e9}");
        let keys: Vec<String> = result.members("L").map(|member| member.text_of("K")).collect();
        assert_eq!(keys, ["1", "2<3"]);
        assert_eq!((result.text_of("Empty"), result.text_of("None")), (String::new(), String::new()));
        assert_eq!(result.members("None").count(), 0);
    }

    #[test]
    fn refuses_malformed_xml() {
        let deep = format!("{}x{}", "<a>".repeat(100), "</a>".repeat(100));
        for document in ["", "plain", "<a>", "<a></b>", "<a>&unknown;</a>", "{}", &deep] {
            assert_eq!(Element::parse(document.as_bytes()), None, "{document}");
        }
        assert_eq!(Element::parse(&[0xff, 0xfe]), None);
    }
}
