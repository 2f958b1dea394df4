//! As much of XML as AWS's answers use, as a tree that can be changed and written again.

use xmlparser::{ElementEnd, Token, Tokenizer};

#[derive(Clone, Debug, Default)]
pub struct Node {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
    pub text: String,
}

impl Node {
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first node of this name, at any depth, this one included.
    pub fn find(&self, name: &str) -> Option<&Node> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }

    pub fn find_text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|node| node.text.as_str())
    }

    pub fn for_each_mut(&mut self, visit: &mut impl FnMut(&mut Node)) {
        visit(self);
        self.children.iter_mut().for_each(|child| child.for_each_mut(visit));
    }

    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{}\"", escape(value)));
        }
        out.push('>');
        out.push_str(&escape(&self.text));
        self.children.iter().for_each(|child| child.write(out));
        out.push_str(&format!("</{}>", self.name));
    }
}

/// The root element of a document, or none when it is not XML.
pub fn parse(document: &str) -> Option<Node> {
    let mut open = vec![Node::default()];
    for token in Tokenizer::from(document) {
        match token.ok()? {
            Token::ElementStart { prefix, local, .. } => {
                open.push(Node { name: qualified(&prefix, &local), ..Node::default() });
            }
            Token::Attribute { prefix, local, value, .. } => {
                open.last_mut()?.attributes.push((qualified(&prefix, &local), unescape(&value)));
            }
            Token::Text { text } => {
                let text = unescape(&text);
                let node = open.last_mut()?;
                if !text.trim().is_empty() || !node.text.is_empty() {
                    node.text.push_str(&text);
                }
            }
            Token::Cdata { text, .. } => open.last_mut()?.text.push_str(&text),
            Token::ElementEnd { end: ElementEnd::Open, .. } => {}
            Token::ElementEnd { .. } => {
                let node = open.pop()?;
                open.last_mut()?.children.push(node);
            }
            _ => {}
        }
    }
    let top = open.pop()?;
    if open.is_empty() { top.children.into_iter().next() } else { None }
}

fn qualified(prefix: &str, local: &str) -> String {
    if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#13;", "\r")
        .replace("&#10;", "\n")
        .replace("&amp;", "&")
}
