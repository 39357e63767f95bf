//! Payloads of the kinds of one installation. Written by `tasktonic kinds --types rust`; write it
//! anew when kinds change.

/// `images.resize`: Makes smaller copies * / of photos.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ImagesResize {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<ImagesResizeCrop>,
    /// Which photos.
    pub files: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ImagesResizeFormat>,
    #[serde(rename = "maxWidth")]
    pub max_width: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
}

/// Part of the payload of `images.resize`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ImagesResizeCrop {
    pub x: i64,
    pub y: i64,
}

/// `Format` of `images.resize`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum ImagesResizeFormat {
    /// `jpeg`
    #[serde(rename = "jpeg")]
    Jpeg,
    /// `web-p`
    #[serde(rename = "web-p")]
    WebP,
}

impl tasktonic_client::Payload for ImagesResize {
    const KIND: &'static str = "images.resize";
}

/// `tree.walk`
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TreeWalk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<serde_json::Value>,
    pub root: TreeWalkNode,
    pub r#type: String,
}

/// `node` of `tree.walk`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TreeWalkNode {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<TreeWalkNode>>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<TreeWalkNode>>,
}

impl tasktonic_client::Payload for TreeWalk {
    const KIND: &'static str = "tree.walk";
}

/// `anything`
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Anything(pub serde_json::Value);

impl tasktonic_client::Payload for Anything {
    const KIND: &'static str = "anything";
}
