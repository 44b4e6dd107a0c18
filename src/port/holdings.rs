//! Reading what Port holds of a blueprint, to tell whether writing would change anything.
//!
//! Where Port does not understand which fields are asked for, it is asked for whole entities.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::client::PortClient;
use super::error::Error;
use super::search::{add_rule, is_misunderstood, is_no_route, search_everywhere, whole_entities};
use super::snapshot::{MappedFields, Snapshot, SnapshotBuilder};
use crate::deadline::Deadline;

/// Entities per page of a blueprint search (Port API, search a blueprint's entities: limit at most 1000).
const SEARCH_PAGE: usize = 1000;

impl PortClient {
    /// What Port holds of ours under `blueprint`, reduced to `fields`, title and team.
    ///
    /// [`Error::NotFound`] means that the blueprint does not exist. Entities of other data sources are not in it,
    /// so writing them counts as a change.
    pub async fn snapshot(
        &self,
        blueprint: &str,
        fields: &MappedFields,
        deadline: &Deadline,
    ) -> Result<Snapshot, Error> {
        let snapshot = self.snapshot_of_port(blueprint, fields, deadline).await?;
        Ok(match &self.stand_in {
            Some(stand_in) => snapshot.after(stand_in.changed(blueprint), fields),
            None => snapshot,
        })
    }

    async fn snapshot_of_port(
        &self,
        blueprint: &str,
        fields: &MappedFields,
        deadline: &Deadline,
    ) -> Result<Snapshot, Error> {
        let include: Vec<&str> = ["$identifier", "$title", "$team"]
            .into_iter()
            .chain(fields.properties.iter().map(String::as_str))
            .chain(fields.relations.iter().map(String::as_str))
            .collect();
        let mut body = json!({ "query": self.ownership(), "include": include });
        let mut whole = json!({ "query": self.ownership() });
        if fields.anything {
            body = whole.clone();
        }
        let route = ["blueprints", blueprint, "entities", "search"];
        let paged = |body: &Value| Call::post(route, body).exporter().repeatable();
        let mut outcome = self
            .collect(fields, &mut body, SEARCH_PAGE, &paged, deadline)
            .await;
        // A mapped field that the blueprint lacks may not be asked for. Where nothing comes of what was asked for, either
        // all of it is empty, or it goes by other names here.
        let may_be_misunderstood = match &outcome {
            Ok(snapshot) => *fields != MappedFields::default() && snapshot.lacks_fields(),
            Err(Error::Refused { status, .. }) => matches!(status, 400 | 422),
            Err(error) => is_misunderstood(error),
        };
        if may_be_misunderstood {
            outcome = self
                .collect(fields, &mut whole, SEARCH_PAGE, &paged, deadline)
                .await;
        }
        if !outcome.as_ref().is_err_and(is_no_route) {
            return outcome;
        }
        // Without that blueprint this fails as it should. With it, the route is what is missing.
        self.blueprint(blueprint, deadline).await?;
        self.snapshot_unpaged(blueprint, fields, deadline).await
    }

    async fn snapshot_unpaged(
        &self,
        blueprint: &str,
        fields: &MappedFields,
        deadline: &Deadline,
    ) -> Result<Snapshot, Error> {
        let mut query = self.ownership();
        add_rule(
            &mut query,
            json!({ "property": "$blueprint", "operator": "=", "value": blueprint }),
        );
        let mut narrow = search_everywhere(&query)
            .query("include", "team")
            .query("include", "title");
        for (prefix, names) in [
            ("properties", &fields.properties),
            ("relations", &fields.relations),
        ] {
            for name in names {
                narrow = narrow.query("include", format!("{prefix}.{name}"));
            }
        }
        let mut calls = vec![whole_entities(&query)];
        if !fields.anything {
            calls.push(narrow);
        }
        loop {
            let mut builder = SnapshotBuilder::new(fields);
            let Some(call) = calls.pop() else {
                return Ok(builder.finish());
            };
            let mut take = |entity| add_to(&mut builder, entity);
            let read = self.page(call, deadline, &mut take).await;
            match read {
                Ok(_) => return Ok(builder.finish()),
                Err(error) if is_misunderstood(&error) && !calls.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn collect(
        &self,
        fields: &MappedFields,
        body: &mut Value,
        limit: usize,
        call: &impl Fn(&Value) -> Call,
        deadline: &Deadline,
    ) -> Result<Snapshot, Error> {
        let mut builder = SnapshotBuilder::new(fields);
        self.pages(body, limit, call, deadline, &mut |entity| {
            add_to(&mut builder, entity)
        })
        .await?;
        Ok(builder.finish())
    }
}

/// `None`: it does not say which entity it is.
fn add_to(builder: &mut SnapshotBuilder<'_>, entity: Map<String, Value>) -> Option<()> {
    let identifier = entity.get("identifier").and_then(Value::as_str)?;
    builder.add(identifier, &entity);
    Some(())
}
