//! The API description of any model, into which operations on particular models are written.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{super::PROTOCOLS, identifiers::identifiers};
use crate::{
    codec::json_schema::SchemaPlace,
    edge::{DescribedModel, ModelDescription, ModelOperation},
};

/// Most bytes of the parts about models. Further models are left out: 1,000 models of some tens of features fit.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes of the part about one model. Above, the model is left out.
const MAX_MODEL_BYTES: usize = 512 * 1024;

/// The API description of any model.
#[derive(Debug)]
pub(super) struct Template {
    /// All members but those below.
    head: Map<String, Value>,
    paths: Map<String, Value>,
    components: Map<String, Value>,
    schemas: Map<String, Value>,
    tags: Vec<Value>,
    /// Names of operations.
    operations: HashSet<String>,
}

impl Template {
    /// Takes a description apart.
    #[expect(clippy::expect_used, reason = "the description is fixed, and a test reads it")]
    pub(super) fn new(description: utoipa::openapi::OpenApi) -> Self {
        let document = serde_json::to_value(description).expect("the description is JSON");
        let mut head = members(Some(document));
        let (paths, mut components) = (members(head.remove("paths")), members(head.remove("components")));
        let schemas = members(components.remove("schemas"));
        let tags = match head.remove("tags") {
            Some(Value::Array(tags)) => tags,
            _ => Vec::new(),
        };
        let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
        let operations =
            operations.filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned())).collect();
        Self { head, paths, components, schemas, tags, operations }
    }

    /// Writes the description of any model.
    pub(super) fn generic(&self) -> Vec<u8> {
        self.write(&[])
    }

    /// Writes the description with operations on these models.
    pub(super) fn write(&self, models: &[DescribedModel<'_>]) -> Vec<u8> {
        let mut writer = Writer::of(self);
        let names = models.iter().map(|model| model.name);
        let is_taken = |identifier: &str| {
            let ends_with = |operation: &String| {
                operation.strip_suffix(identifier).is_some_and(|action| action.ends_with('_'))
            };
            self.operations.iter().any(ends_with)
        };
        for (model, identifier) in models.iter().zip(identifiers(names, is_taken)) {
            writer.add(*model, &identifier);
        }
        writer.finish(models.len())
    }
}

/// Returns the members of an object; none if it is anything else.
fn members(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The parts of a document that are being written.
struct Writer<'t> {
    template: &'t Template,
    /// Paths of the template whose operation is that of the default model.
    replaced: BTreeMap<String, Value>,
    /// Members of `paths`, `components.schemas` and `tags`, each with a comma after it.
    paths: Vec<u8>,
    schemas: Vec<u8>,
    tags: Vec<Value>,
    /// Responses that several operations share.
    responses: BTreeMap<String, Value>,
    described: usize,
}

impl<'t> Writer<'t> {
    fn of(template: &'t Template) -> Self {
        Self {
            template,
            replaced: BTreeMap::new(),
            paths: Vec::new(),
            schemas: Vec::new(),
            tags: template.tags.clone(),
            responses: BTreeMap::new(),
            described: 0,
        }
    }

    /// Adds a model, unless there is no room for it.
    fn add(&mut self, model: DescribedModel<'_>, identifier: &str) {
        let begin = (self.paths.len(), self.schemas.len());
        if begin.0 + begin.1 > MAX_BYTES {
            return;
        }
        let place = format!("#/components/schemas/{identifier}.");
        let mut schemas = BTreeMap::new();
        let mut operations: Vec<ModelOperation> = Vec::new();
        for protocol in PROTOCOLS.iter() {
            let ModelDescription { operations: own, schemas: named } =
                protocol.describe(model, SchemaPlace(&place));
            let own: Vec<_> =
                own.into_iter().filter(|one| self.template.paths.contains_key(one.generic)).collect();
            if !own.is_empty() {
                schemas.extend(named);
                operations.extend(own);
            }
        }
        for (name, schema) in schemas {
            member(&mut self.schemas, &format!("{identifier}.{name}"), &schema);
        }
        let tag = format!("model {identifier}");
        let mut replaced = Vec::new();
        for operation in operations {
            let Some(item) = self.path_item(&operation, model, identifier, &tag) else { continue };
            if operation.path == operation.generic {
                replaced.push((operation.path, item));
            } else {
                member(&mut self.paths, &operation.path, &item);
            }
        }
        if self.paths.len() + self.schemas.len() - begin.0 - begin.1 > MAX_MODEL_BYTES {
            self.paths.truncate(begin.0);
            self.schemas.truncate(begin.1);
            return;
        }
        self.described += 1;
        self.replaced.extend(replaced);
        let DescribedModel { name, version, .. } = model;
        self.tags.push(json!({"name": tag, "description": format!("The model `{name}`, version {version}")}));
    }

    /// Returns the path item of an operation on one model: that of any model, with the schemas of this one.
    fn path_item(
        &mut self,
        operation: &ModelOperation,
        model: DescribedModel<'_>,
        identifier: &str,
        tag: &str,
    ) -> Option<Value> {
        let template = self.template;
        let generic = template.paths.get(operation.generic)?.get("post")?;
        let is_replaced = operation.path == operation.generic;
        let mut item = generic.clone();
        let members = item.as_object_mut()?;
        members.remove("parameters");
        if !is_replaced {
            members.insert("operationId".to_owned(), format!("{}_{identifier}", operation.action).into());
            members.insert("tags".to_owned(), json!([tag]));
            members.insert("summary".to_owned(), format!("Predict with `{}`", model.name).into());
        }
        let DescribedModel { name, version, digest, .. } = model;
        let says = format!("`{name}` is version {version} now, of digest `{digest}`.");
        let said = generic.get("description").and_then(Value::as_str).map(|text| format!("{text}\n\n{says}"));
        members.insert("description".to_owned(), said.unwrap_or(says).into());
        let body = members.get_mut("requestBody")?.get_mut("content")?.get_mut("application/json")?;
        *body = json!({"schema": operation.request});
        if let Some(example) = &operation.example {
            body["example"] = example.clone();
        }
        let responses = members.get_mut("responses")?.as_object_mut()?;
        for (status, response) in responses.iter_mut() {
            if status == "200" {
                response["content"]["application/json"] = json!({"schema": operation.response});
            } else if let Some(name) = generic["operationId"].as_str() {
                let name = format!("{name}.{status}");
                let shared =
                    std::mem::replace(response, json!({"$ref": format!("#/components/responses/{name}")}));
                self.responses.insert(name, shared);
            }
        }
        Some(json!({"post": item}))
    }

    /// Writes the whole document. `models` is the number of models to describe.
    fn finish(self, models: usize) -> Vec<u8> {
        let Self { template, replaced, paths, schemas, tags, responses, described } = self;
        let mut out = Vec::with_capacity(paths.len() + schemas.len() + 256 * 1024);
        out.push(b'{');
        for (name, value) in &template.head {
            member(&mut out, name, &*note(name, value, models, described));
        }
        member(&mut out, "tags", &tags);
        out.extend_from_slice(br#""paths":{"#);
        for (path, item) in &template.paths {
            member(&mut out, path, replaced.get(path).unwrap_or(item));
        }
        end(&mut out, &paths);
        out.extend_from_slice(br#","components":{"#);
        for (name, value) in &template.components {
            member(&mut out, name, value);
        }
        if !responses.is_empty() {
            member(&mut out, "responses", &responses);
        }
        out.extend_from_slice(br#""schemas":{"#);
        for (name, schema) in &template.schemas {
            member(&mut out, name, schema);
        }
        end(&mut out, &schemas);
        out.extend_from_slice(b"}}");
        out
    }
}

/// Adds to `info` which models are described.
fn note<'v>(name: &str, value: &'v Value, models: usize, described: usize) -> Cow<'v, Value> {
    if name != "info" || models == 0 {
        return Cow::Borrowed(value);
    }
    let left_out = models - described;
    let left_out = if left_out == 0 {
        String::new()
    } else {
        format!(" Models without room here: {left_out}. `GET /models/{{model}}/schema` has their schemas.")
    };
    let text = value["description"].as_str().unwrap_or_default();
    let mut info = value.clone();
    info["description"] =
        format!("{text}\n\nModels in service with schemas of their own: {described}.{left_out}").into();
    Cow::Owned(info)
}

/// Writes a member with a comma after it.
#[expect(clippy::expect_used, reason = "JSON values and texts can always be written to memory")]
fn member(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(&mut *out, name).expect("a text is JSON");
    out.push(b':');
    serde_json::to_writer(&mut *out, value).expect("a value is JSON");
    out.push(b',');
}

/// Writes further members, and the end of the object in place of the last comma.
fn end(out: &mut Vec<u8>, members: &[u8]) {
    out.extend_from_slice(members);
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Model,
        config::Settings,
        model::{
            Constants, Contract, Dimension, ElementType, Feature, Layout, ModelName, Signature, ValueSpec,
        },
    };

    #[test]
    fn a_model_without_room_is_left_out_and_the_others_stay() {
        let shape = |columns| vec![Dimension::Dynamic(String::new()), Dimension::Fixed(columns)];
        let signature = |columns| Signature {
            inputs: vec![ValueSpec::tensor("x", ElementType::F32, shape(columns))],
            outputs: vec![ValueSpec::tensor("y", ElementType::F32, shape(1))],
        };
        let features = |count, length: usize| {
            let name = |index: usize| Feature::new(format!("{index}{}", "x".repeat(length)));
            Contract::new((0..count).map(name).collect(), Vec::new())
        };
        let models = [("large", 200, 2000), ("small", 3, 1)].map(|(name, count, length)| {
            let (signature, contract) = (signature(count), features(count, length));
            let layout = Layout::of(&signature, &contract).unwrap().unwrap();
            (name.parse::<ModelName>().unwrap(), signature, contract, layout)
        });
        let constants = Constants::default();
        let described: Vec<DescribedModel<'_>> = models
            .iter()
            .map(|(name, signature, contract, layout)| DescribedModel {
                name,
                version: "1".parse().unwrap(),
                digest: "0123",
                model: Model { signature, layout: Some(layout), contract },
                constants: &constants,
                takes_instances: true,
                is_default: true,
                example: None,
            })
            .collect();
        let template = Template::new(super::super::description(&Settings::default()));
        let document: Value = serde_json::from_slice(&template.write(&described)).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.keys().any(|name| name.starts_with("small.")));
        assert!(!schemas.keys().any(|name| name.starts_with("large.")));
        assert!(document["paths"]["/models/large/predict"].is_null());
        let says = document["info"]["description"].as_str().unwrap();
        assert!(says.contains("of their own: 1.") && says.contains("without room here: 1."), "{says}");
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|tag| tag["name"] == "model small"));
        let generic: Value = serde_json::from_slice(&template.generic()).unwrap();
        let expected = serde_json::to_value(super::super::description(&Settings::default())).unwrap();
        assert_eq!(generic, expected, "nothing is lost in between");
    }
}
