//! Feedback and labelling: votes are kept, and the queues hold predictions of the log's that nobody
//! labelled, the newest when they are first looked at.

use std::collections::{BTreeMap, BTreeSet};

use vigie_core::evaluate::stats::proportion;
use vigie_protocol::access::Principal;
use vigie_protocol::dataset::Lineage;
use vigie_protocol::feedback::{
    AccuracyOf, Cluster, Clusters, Consensus, Feedback, FeedbackAccuracy, FeedbackState, LabelItem,
    LabelQueue, NewImages, Said, Vote,
};
use vigie_protocol::job::JobOutcome;
use vigie_protocol::page::Page;
use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::service::{
    ClusterLabelled, FeedbackAccuracyGet, FeedbackGive, FeedbackLeft, FeedbackList, FeedbackWithdraw,
    InProject, LabelCluster, LabelNext, LabelPage,
};
use vigie_protocol::{AliasName, ApiError, ErrorCode, PredictionId, ProjectName, Time};

use super::State;
use super::once::Change;
use super::page::{cursor, page};
use super::refusal::{missing, precondition};

/// Images in each queue at first.
const QUEUED: usize = 300;
/// Predictions looked at for them.
const LOOKED_AT: usize = 20_000;
/// Images in a cluster.
const TOGETHER: usize = 12;

/// What people said in one project, and what is asked.
#[derive(Debug, Default)]
pub(super) struct Labels {
    said: BTreeMap<PredictionId, Feedback>,
    /// Deferred and drawn predictions, newest first; absent before the first look.
    queues: Option<[Vec<Prediction>; 2]>,
    clusters: Option<(Time, Vec<Vec<PredictionId>>)>,
}

impl Labels {
    pub(super) fn annotated(&self, prediction: Prediction) -> Prediction {
        Prediction { feedback: self.said.get(&prediction.id).map(Feedback::note), ..prediction }
    }

    pub(super) fn forget(&mut self, id: PredictionId) {
        self.said.remove(&id);
        self.queues.iter_mut().flatten().for_each(|queue| queue.retain(|one| one.id != id));
    }

    /// Those of a queue that still wait.
    fn waiting(&self, queue: usize) -> impl Iterator<Item = &Prediction> {
        let labelled = |one: &&Prediction| self.said.get(&one.id).is_some_and(|said| said.label().is_some());
        self.queues.iter().flat_map(move |queues| &queues[queue]).filter(move |one| !labelled(one))
    }

    fn vote(&mut self, about: &Prediction, vote: Vote) -> Feedback {
        let row = self.said.entry(about.id).or_insert_with(|| Feedback::about(about));
        row.votes.retain(|old| old.by != vote.by);
        let said = match &vote.said {
            Said::Wrong { class } => Said::class(class, row.predicted()),
            said => said.clone(),
        };
        row.votes.push(Vote { said, ..vote });
        settle(row, about.picture_kept)
    }
}

fn settle(row: &mut Feedback, picture: bool) -> Feedback {
    row.consensus = Consensus::of(row.votes.iter());
    row.generation += 1;
    row.state = match row.label() {
        _ if !picture => FeedbackState::NoPicture,
        Some(_) => FeedbackState::Open,
        None => FeedbackState::Deferred,
    };
    row.clone()
}

impl State {
    pub(in super::super) fn feedback_give(
        &mut self,
        who: &Principal,
        request: FeedbackGive,
    ) -> Result<Feedback, ApiError> {
        let FeedbackGive { key, ref project, prediction, ref said, blind, new_class } = request;
        let target = format!("{project}/{prediction}: {said}");
        let change = Change { key, method: "feedback_give", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let now = state.now;
            if let Said::Wrong { class } = said {
                state.knows(project, class, new_class)?;
            }
            let project = state.project_mut(project)?;
            let about = project.log.get(prediction, now);
            let about = about.ok_or_else(|| missing(format_args!("prediction {prediction}")))?;
            let vote = Vote { by: who.name.clone(), at: now, said: said.clone(), blind };
            Ok(project.labels.vote(&about, vote))
        })
    }

    pub(in super::super) fn feedback_withdraw(
        &mut self,
        who: &Principal,
        request: FeedbackWithdraw,
    ) -> Result<FeedbackLeft, ApiError> {
        let FeedbackWithdraw { key, ref project, prediction } = request;
        let target = format!("{project}/{prediction}");
        let change =
            Change { key, method: "feedback_withdraw", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let said = &mut state.project_mut(project)?.labels.said;
            let Some(row) = said.get_mut(&prediction) else { return Ok(FeedbackLeft { feedback: None }) };
            row.votes.retain(|vote| vote.by != who.name);
            let picture = row.state != FeedbackState::NoPicture;
            let left = (!row.votes.is_empty()).then(|| settle(row, picture));
            if left.is_none() {
                said.remove(&prediction);
            }
            Ok(FeedbackLeft { feedback: left })
        })
    }

    pub(in super::super) fn feedback_list(
        &mut self,
        _: &Principal,
        request: FeedbackList,
    ) -> Result<Page<Feedback>, ApiError> {
        let after: Option<PredictionId> = cursor(&request.page)?;
        let said = &self.project(&request.project)?.labels.said;
        let rows = said.iter().rev().filter(|(id, _)| after.is_none_or(|after| **id < after));
        Ok(page(&request.page, rows.map(|(id, row)| (*id, Some(row.clone())))))
    }

    pub(in super::super) fn feedback_accuracy(
        &mut self,
        _: &Principal,
        request: FeedbackAccuracyGet,
    ) -> Result<FeedbackAccuracy, ApiError> {
        self.fill(&request.project)?;
        let labels = &self.project(&request.project)?.labels;
        let right: Vec<bool> = labels.said.values().filter_map(|row| row.consensus.right()).collect();
        let successes = right.iter().filter(|right| **right).count() as u64;
        let of = |successes, trials| AccuracyOf {
            overall: proportion(successes, trials),
            models: Vec::new(),
            undecided: 0,
        };
        Ok(FeedbackAccuracy {
            feedback: of(successes, right.len() as u64),
            audit: of(0, 0),
            audit_due: labels.waiting(1).count() as u64,
            caveat: "feedback is biased".to_owned(),
        })
    }

    pub(in super::super) fn feedback_new_images(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<NewImages, ApiError> {
        let project = self.project(&request.project)?;
        let held = project.aliases.get(&AliasName::production());
        let held = &held.ok_or_else(|| precondition("nothing is in production".to_owned()))?.alias;
        let labelled = project.labels.said.values().filter(|row| row.label().is_some()).count() as u64;
        let (model, since) = (held.model, held.since);
        Ok(NewImages { model, since, predictions: labelled, labelled, collected: 0, reference: 0 })
    }

    pub(in super::super) fn label_classes(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Vec<String>, ApiError> {
        Ok(self.classes(&request.project)?.into_iter().collect())
    }

    pub(in super::super) fn label_next(
        &mut self,
        who: &Principal,
        request: LabelNext,
    ) -> Result<LabelPage, ApiError> {
        self.fill(&request.project)?;
        let after: Option<PredictionId> = cursor(&request.page)?;
        let labels = &self.project(&request.project)?.labels;
        let queue = usize::from(request.queue == LabelQueue::Audit);
        let members: Option<BTreeSet<PredictionId>> = match (request.queue, request.cluster) {
            (LabelQueue::Cluster, Some(number)) => Some(labels.members(number, None)?.into_iter().collect()),
            (LabelQueue::Cluster | LabelQueue::Unknown, _) => {
                return Err(ApiError::invalid("which cluster? give its number"));
            }
            _ => None,
        };
        let wanted = |one: &&Prediction| {
            members.as_ref().is_none_or(|members| members.contains(&one.id))
                && labels
                    .said
                    .get(&one.id)
                    .is_none_or(|said| queue == 0 || said.votes.iter().all(|vote| vote.by != who.name))
        };
        let waiting = labels.waiting(queue).filter(wanted).count() as u64;
        let past = |one: &&Prediction| after.is_none_or(|after| one.id < after);
        let rows = labels.waiting(queue).filter(wanted).filter(past);
        let withheld = queue == 1 && !request.reveal;
        let item = |one: &Prediction| {
            let mut item = labels.item(one, queue == 1);
            if withheld {
                item.blind();
            }
            item
        };
        let items = page(&request.page, rows.map(|one| (one.id, Some(item(one)))));
        Ok(LabelPage { items, waiting, gone: 0 })
    }

    pub(in super::super) fn label_clusters(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Clusters, ApiError> {
        self.fill(&request.project)?;
        let project = self.project(&request.project)?;
        let waiting: BTreeMap<PredictionId, &Prediction> =
            project.labels.waiting(0).map(|one| (one.id, one)).collect();
        let Some((made, groups)) = &project.labels.clusters else {
            let outside = waiting.len() as u64;
            return Ok(Clusters { made: None, model: None, clusters: Vec::new(), outside });
        };
        let cluster = |(number, members): (u32, &Vec<PredictionId>)| {
            let there: Vec<&Prediction> = members.iter().filter_map(|id| waiting.get(id).copied()).collect();
            Cluster {
                number,
                images: there.len() as u64,
                examples: there.iter().map(|one| one.image).collect(),
                predicted: there.first().map(|one| one.class().to_owned()).into_iter().collect(),
            }
        };
        let clusters: Vec<Cluster> =
            (1..).zip(groups).map(cluster).filter(|cluster| cluster.images > 0).collect();
        let inside: u64 = clusters.iter().map(|cluster| cluster.images).sum();
        let outside = (waiting.len() as u64).saturating_sub(inside);
        Ok(Clusters { made: Some(*made), model: project.log.model(), clusters, outside })
    }

    pub(in super::super) fn label_cluster(
        &mut self,
        who: &Principal,
        request: LabelCluster,
    ) -> Result<ClusterLabelled, ApiError> {
        let LabelCluster { key, ref project, made, cluster, ref except, ref class, new_class } = request;
        let target = format!("{project} cluster {cluster} of {made}: wrong, it is {class}");
        let change = Change { key, method: "label_cluster", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let now = state.now;
            state.knows(project, class, new_class)?;
            let labels = &mut state.project_mut(project)?.labels;
            let members = labels.members(cluster, Some(made))?;
            let wanted: Vec<Prediction> = labels
                .waiting(0)
                .filter(|one| members.contains(&one.id) && !except.contains(&one.id))
                .cloned()
                .collect();
            let said = Said::Wrong { class: class.clone() };
            for about in &wanted {
                let vote = Vote { by: who.name.clone(), at: now, said: said.clone(), blind: false };
                labels.vote(about, vote);
            }
            let images = wanted.len() as u64;
            Ok(ClusterLabelled { images, settled: images })
        })
    }

    /// What a job makes that groups the deferred images: those of one class together.
    pub(super) fn grouped(&mut self, name: &ProjectName) -> Result<JobOutcome, ApiError> {
        self.fill(name)?;
        let now = self.now;
        let labels = &mut self.project_mut(name)?.labels;
        let mut classes: BTreeMap<&str, Vec<PredictionId>> = BTreeMap::new();
        let all: Vec<Prediction> = labels.waiting(0).cloned().collect();
        all.iter().for_each(|one| classes.entry(one.class()).or_default().push(one.id));
        let groups: Vec<Vec<PredictionId>> =
            classes.values().flat_map(|ids| ids.chunks(TOGETHER)).map(<[_]>::to_vec).collect();
        let (clusters, images) = (groups.len(), groups.iter().map(Vec::len).sum::<usize>());
        labels.clusters = Some((now, groups));
        Ok(JobOutcome::Clusters {
            clusters: u32::try_from(clusters).unwrap_or(u32::MAX),
            images: images as u64,
        })
    }

    /// Fills the queues at the first look.
    fn fill(&mut self, name: &ProjectName) -> Result<(), ApiError> {
        let now = self.now;
        let project = self.project_mut(name)?;
        if project.labels.queues.is_some() {
            return Ok(());
        }
        let filter = PredictionFilter::default();
        let newest = project.log.rows(&filter, None, now).take(LOOKED_AT).filter_map(|(_, row)| row);
        let mut queues = [Vec::new(), Vec::new()];
        for one in newest.filter(|one| one.picture_kept) {
            let unsure = one.confidence() < 0.5;
            let queue = &mut queues[usize::from(!unsure)];
            if queue.len() < QUEUED {
                queue.push(one);
            }
        }
        project.labels.queues = Some(queues);
        Ok(())
    }

    fn classes(&self, name: &ProjectName) -> Result<BTreeSet<String>, ApiError> {
        let project = self.project(name)?;
        let named = project.labels.said.values().filter_map(|row| row.label().map(str::to_owned));
        let head = project.head(Lineage::Reference).into_iter().flat_map(|_| project.plan.classes.clone());
        Ok(named.chain(head).collect())
    }

    fn knows(&self, name: &ProjectName, class: &str, new_class: bool) -> Result<(), ApiError> {
        if new_class || self.classes(name)?.contains(class) {
            return Ok(());
        }
        let text = format!("{name} has no class {class:?}");
        Err(ApiError::invalid(text).with_hint("a new class has to be asked for as such (--new)"))
    }
}

impl Labels {
    fn item(&self, one: &Prediction, blind: bool) -> LabelItem {
        let votes =
            self.said.get(&one.id).filter(|_| !blind).map_or_else(Vec::new, |said| said.votes.clone());
        LabelItem {
            prediction: one.id,
            at: one.at,
            model: one.model,
            image: one.image,
            name: one.name.clone(),
            top: one.top.clone(),
            votes,
        }
    }

    fn members(&self, number: u32, made: Option<Time>) -> Result<Vec<PredictionId>, ApiError> {
        let there_is_none = || missing(format_args!("cluster {number}"));
        let (at, groups) = self.clusters.as_ref().ok_or_else(there_is_none)?;
        if made.is_some_and(|made| made != *at) {
            let text = "the clusters were made anew meanwhile";
            return Err(ApiError::new(ErrorCode::Conflict, text).with_hint("look at them again, then answer"));
        }
        let place = (number as usize).checked_sub(1).ok_or_else(there_is_none)?;
        groups.get(place).cloned().ok_or_else(there_is_none)
    }
}
