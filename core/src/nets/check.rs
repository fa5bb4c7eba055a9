//! Whether weights are those of a network, and what to say when they are not.

use vigie_protocol::model::Architecture;

use super::plan::Plan;
use super::weights::{Weights, WeightsError};

/// How many tensors an error names.
const NAMED: usize = 5;

/// Checks that `weights` holds every tensor of the backbone and, where `classes` is given, of the
/// classifier, with the right shapes and finite values, and nothing else. Without `classes` the
/// classifier's tensors may be there or not, in any shape.
pub(super) fn check(
    architecture: Architecture,
    plan: &Plan,
    weights: &Weights,
    classes: Option<usize>,
) -> Result<(), WeightsError> {
    let mut expected = plan.backbone_tensors();
    expected.extend(classes.into_iter().flat_map(|classes| plan.classifier_tensors(classes)));
    let names: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let optional = if classes.is_none() { &plan.classifier_tensors(0)[..] } else { &[] };

    let (mut missing, mut shapes, mut unsound) = (Vec::new(), Vec::new(), Vec::new());
    for (name, shape) in &expected {
        match weights.get(name) {
            None => missing.push(name.clone()),
            Some(tensor) if tensor.shape != *shape => {
                shapes.push(format!("{name} is {:?} and should be {shape:?}", tensor.shape));
            }
            Some(tensor) if !sound(name, &tensor.values) => unsound.push(name.clone()),
            Some(_) => {}
        }
    }
    let unexpected: Vec<String> = weights
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !names.contains(name) && optional.iter().all(|(optional, _)| optional != name))
        .map(shortened)
        .collect();

    let detail: Vec<String> = [
        ("missing", missing),
        ("of another shape", shapes),
        ("unexpected", unexpected),
        ("not finite, or a negative variance", unsound),
    ]
    .into_iter()
    .filter(|(_, found)| !found.is_empty())
    .map(|(what, found)| {
        let more = found.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{what}: {}{more}", found[..found.len().min(NAMED)].join(", "))
    })
    .collect();
    if detail.is_empty() {
        return Ok(());
    }
    Err(WeightsError::Mismatch { architecture, detail: detail.join("; ") })
}

/// Whether a tensor's values can be computed with.
fn sound(name: &str, values: &[f32]) -> bool {
    let least = if name.ends_with(".running_var") { 0.0 } else { f32::MIN };
    values.iter().all(|value| value.is_finite() && *value >= least)
}

/// A name from a file, for a message: printable and not too long.
fn shortened(name: &str) -> String {
    let clean: String = name.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().count() > 80 { format!("{clean}…") } else { clean }
}
