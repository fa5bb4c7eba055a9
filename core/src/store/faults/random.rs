//! Random lives on disks that fail.

use proptest::prelude::*;

use super::life::Step;
use super::{Between, Fault, Refusal, soak, with_power_cut, with_refusals};

/// How many steps of each kind a life has so far.
#[derive(Default)]
struct SoFar {
    imports: u32,
    parts: u32,
    trainings: u32,
    /// Models that held `production`; each gets it once.
    promoted: u32,
    /// Holders that can be gone back to, and one.
    holders: u32,
    rollbacks: u32,
    predictions: u32,
    said: u32,
    forgotten: u32,
    sources: u32,
    removed: u32,
    schedules: u32,
}

impl SoFar {
    /// The next step of a kind, if it can follow.
    fn next(&mut self, kind: u8) -> Step {
        let counted = |count: &mut u32| {
            *count += 1;
            *count
        };
        match kind {
            0 => Step::Import(counted(&mut self.imports)),
            // A training needs a version, a promotion a model, and so on.
            1 if self.imports > 0 => Step::Train(counted(&mut self.trainings)),
            2 | 3 if self.trainings > self.promoted => {
                self.holders += 1;
                let model = counted(&mut self.promoted);
                if kind == 2 { Step::Promote(model) } else { Step::Override(model) }
            }
            4 if self.holders > 1 => {
                self.holders -= 1;
                Step::Rollback(counted(&mut self.rollbacks))
            }
            5 => Step::Predict(counted(&mut self.predictions)),
            6 if self.predictions > self.forgotten => Step::Forget(counted(&mut self.forgotten)),
            // Never of what is forgotten by then: the agent would not find it.
            7 if self.predictions > self.said.max(self.forgotten) => {
                self.said = self.predictions;
                Step::Say(self.said)
            }
            8 => Step::AcceptPart(counted(&mut self.parts)),
            9 => Step::Follow(counted(&mut self.sources)),
            10 if self.sources > self.removed => Step::Unfollow(counted(&mut self.removed)),
            11 => Step::Schedule(counted(&mut self.schedules)),
            _ => Step::Collect,
        }
    }
}

/// Steps that can follow one another, of any kind.
fn lives(length: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(0..13_u8, 1..length).prop_map(|kinds| {
        let mut so_far = SoFar::default();
        kinds.into_iter().map(|kind| so_far.next(kind)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if soak() { 2_000 } else { 24 }))]

    #[test]
    fn any_life_survives_any_fault(
        steps in lives(if soak() { 40 } else { 12 }),
        share in 0.0..1.0_f64,
        fault in 0..3_u8,
        count in 1..30_u64,
        dice in any::<u64>(),
    ) {
        let between = Between::by_turns(dice);
        let operations = with_refusals(&steps, Fault::None, between);
        let first = 1 + (operations as f64 * share) as u64;
        match fault {
            0 => {
                with_refusals(&steps, Fault::Refuse { first, count, how: Refusal::NoSpace }, between);
            }
            1 => {
                with_refusals(&steps, Fault::Refuse { first, count, how: Refusal::InputOutput }, between);
            }
            _ => {
                with_power_cut(&steps, first, Some(dice));
            }
        }
    }
}

/// Random lives that once found a fault, of the store or of these tests, at the place where they did.
#[test]
fn lives_that_found_a_fault_hold() {
    use Step::{Forget, Import, Predict, Say, Train};
    let forgotten = [Predict(1), Say(1), Forget(1), Predict(2)];
    with_power_cut(&forgotten, 1, Some(0));
    let trainings = [
        Import(1),
        Predict(1),
        Say(1),
        Import(2),
        Train(1),
        Import(3),
        Predict(2),
        Train(2),
        Say(2),
        Predict(3),
        Import(4),
        Train(3),
        Import(5),
        Import(6),
        Import(7),
        Import(8),
        Train(4),
        Import(9),
        Train(5),
    ];
    let operations = with_refusals(&trainings, Fault::None, Between::Reads);
    // The last training is cut short in some of them.
    for at in (operations * 17 / 20..=operations).step_by(40) {
        assert!(with_power_cut(&trainings, at, Some(0)));
    }
}
