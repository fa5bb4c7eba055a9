//! Values of what happens to data: labels, sources, reviews, feedback.

use proptest::prelude::*;
use vigie_protocol::classes::{ClassList, ImageLabel, Relabelling};
use vigie_protocol::dataset::{ChangeKind, ImageChange, Lineage, Quality, Split};
use vigie_protocol::feedback::{Consensus, Feedback, FeedbackState, LabelItem, Said, Vote};
use vigie_protocol::import::{GivenSplit, GroupRule, ImportOptions, TableOptions};
use vigie_protocol::label_check::LabelIssue;
use vigie_protocol::review::{ChangeSetImage, Feature, ImageFinding};
use vigie_protocol::source::{
    Acceptance, Checksum, Imported, KaggleDataset, Pending, Revision, Source, SourceOrigin, SourceState,
};
use vigie_protocol::window::Window;

use super::strategies::*;

pub fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        any::<u64>().prop_map(|images| Window::Last { images }),
        any::<u32>().prop_map(|days| Window::Days { days }),
        any::<[u64; 2]>().prop_map(|[per_class, seed]| Window::Reservoir { per_class, seed }),
    ]
}

pub fn relabelling() -> impl Strategy<Value = Relabelling> {
    let label = (hash(), any::<String>()).prop_map(|(image, label)| ImageLabel { image, label });
    prop_oneof![
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..3)
            .prop_map(|renames| Relabelling::Classes { renames, more: 0 }),
        prop::collection::vec(label, 0..3).prop_map(|labels| Relabelling::Images { labels, more: 7 }),
        any::<u32>().prop_map(|version| Relabelling::Undo { version }),
    ]
}

pub fn class_list() -> impl Strategy<Value = ClassList> {
    let names = prop::collection::btree_set(any::<String>(), 0..4);
    let aliases = prop::collection::btree_map(any::<String>(), any::<String>(), 0..4);
    (names, aliases, any::<(u64, Option<String>)>(), prop::option::of(time())).prop_map(
        |(classes, aliases, (generation, by), changed)| ClassList {
            classes,
            aliases,
            generation,
            changed,
            by,
        },
    )
}

pub fn label_issue() -> impl Strategy<Value = LabelIssue> {
    let texts = any::<[String; 3]>();
    (hash(), texts, [single(), single(), single()], 0..3usize).prop_map(
        |(image, [label, suggested, origin], numbers, split)| LabelIssue {
            image,
            label,
            suggested,
            score: numbers[0],
            label_probability: numbers[1],
            suggested_probability: numbers[2],
            split: Split::ALL[split],
            origin,
        },
    )
}

pub fn checksum() -> impl Strategy<Value = Checksum> {
    prop_oneof![hash().prop_map(Checksum::Blake3), any::<[u8; 32]>().prop_map(Checksum::Sha256)]
}

pub fn kaggle() -> impl Strategy<Value = KaggleDataset> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,99}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}".prop_map(|text| text.parse().unwrap())
}

pub fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![
        any::<u64>().prop_map(|number| Revision::Version { number }),
        any::<(Option<String>, Option<String>, Option<u64>)>()
            .prop_map(|(etag, modified, bytes)| Revision::Content { etag, modified, bytes }),
        (hash(), any::<[u64; 2]>()).prop_map(|(digest, [files, bytes])| Revision::Listing {
            digest,
            files,
            bytes
        }),
    ]
}

pub fn source() -> impl Strategy<Value = Source> {
    let origin = prop_oneof![
        any::<String>().prop_map(|path| SourceOrigin::Folder { path }),
        any::<String>().prop_map(|path| SourceOrigin::Zip { path }),
        any::<String>().prop_map(|url| SourceOrigin::Url { url }),
        kaggle().prop_map(|dataset| SourceOrigin::Kaggle { dataset }),
    ];
    let acceptance =
        prop_oneof![Just(Acceptance::Ask), single().prop_map(|percent| Acceptance::Under { percent })];
    let set = (
        "[a-z0-9][a-z0-9_-]{0,62}",
        project(),
        origin,
        import_options(),
        acceptance,
        any::<bool>(),
        any::<String>(),
    );
    let imported = (revision(), time(), prop::option::of(dataset()))
        .prop_map(|(revision, at, dataset)| Imported { revision, at, dataset });
    let failures = (any::<(u32, u32)>(), prop::option::of(time()));
    let pending = (revision(), id(), prop::option::of(id()), failures).prop_map(
        |(revision, job, change_set, ((failures, skipped), failed))| Pending {
            revision,
            job,
            change_set,
            supersedes: change_set,
            failures,
            failed,
            skipped,
        },
    );
    let stands = (
        time(),
        any::<(String, u64)>(),
        prop::option::of(revision()),
        prop::option::of(imported),
        prop::option::of(pending),
        prop::option::of(revision()),
    );
    (set, stands).prop_map(|((name, project, origin, options, acceptance, preprocess, by), stands)| {
        let (at, (detail, generation), latest, imported, pending, declined) = stands;
        Source {
            project,
            name: name.parse().unwrap(),
            origin,
            lineage: Lineage::Source,
            options,
            acceptance,
            preprocess,
            created: at,
            by,
            state: SourceState::Ok,
            since: at,
            detail,
            checked: Some(at),
            latest,
            imported,
            pending,
            declined,
            generation,
        }
    })
}

pub fn import_options() -> impl Strategy<Value = ImportOptions> {
    let given = prop::sample::select(vec![GivenSplit::Keep, GivenSplit::RedrawValid, GivenSplit::Redraw]);
    let table = (any::<[String; 3]>(), any::<Option<String>>(), any::<Vec<String>>()).prop_map(
        |([file, image, label], split, columns)| TableOptions { file, image, label, split, columns },
    );
    let group = prop_oneof![
        any::<String>().prop_map(|column| GroupRule::Column { column }),
        any::<String>().prop_map(|pattern| GroupRule::Path { pattern }),
    ];
    (given, prop::option::of(table), prop::option::of(group))
        .prop_map(|(given_split, table, group)| ImportOptions { given_split, table, group })
}

/// A page's row of a review.
pub fn reviewed() -> impl Strategy<Value = ChangeSetImage> {
    let finding = prop_oneof![
        (hash(), any::<[String; 2]>(), any::<u32>())
            .prop_map(|(of, [origin, label], bits)| ImageFinding::NearDuplicate { of, origin, label, bits }),
        (hash(), any::<String>(), 0..3usize).prop_map(|(of, origin, split)| ImageFinding::Leak {
            of,
            origin,
            split: Split::ALL[split]
        }),
        any::<[i16; 2]>().prop_map(|[value, z]| ImageFinding::Outlier {
            feature: Feature::JpegQuality,
            value: f32::from(value),
            z: f32::from(z)
        }),
        Just(ImageFinding::EntersTest),
    ];
    let quality = (any::<u32>(), any::<Option<u8>>(), any::<Option<i16>>()).prop_map(
        |(width, jpeg_quality, saturation)| Quality {
            width,
            jpeg_quality,
            saturation: saturation.map(f32::from),
            ..Quality::default()
        },
    );
    let change = (hash(), any::<String>()).prop_map(|(image, origin)| ImageChange {
        image,
        kind: ChangeKind::Added,
        from: None,
        to: None,
        origin,
    });
    (change, quality, any::<Option<String>>(), prop::collection::vec(finding, 0..3))
        .prop_map(|(change, quality, group, findings)| ChangeSetImage { change, quality, group, findings })
}

pub fn said() -> impl Strategy<Value = Said> {
    let class = any::<String>().prop_map(|class| Said::Wrong { class });
    prop_oneof![Just(Said::Correct), class, Just(Said::WrongUnknown), Just(Said::Unknown)]
}

pub fn consensus() -> impl Strategy<Value = Consensus> {
    let class = any::<String>().prop_map(|class| Consensus::Wrong { class });
    prop_oneof![Just(Consensus::Correct), class, Just(Consensus::WrongUnknown), Just(Consensus::Disputed)]
}

pub fn vote() -> impl Strategy<Value = Vote> {
    (any::<String>(), time(), said(), any::<bool>()).prop_map(|(by, at, said, blind)| Vote {
        by,
        at,
        said,
        blind,
    })
}

pub fn feedback() -> impl Strategy<Value = Feedback> {
    let state = prop_oneof![
        Just(FeedbackState::Open),
        id().prop_map(|change_set| FeedbackState::Taken { change_set }),
        Just(FeedbackState::NoPicture),
    ];
    let about = (id(), time(), model(), hash(), hash(), prop::collection::vec(scored(), 0..3));
    let stands = (prop::collection::vec(vote(), 0..4), consensus(), state);
    (about, stands, any::<(Option<String>, bool, u64)>()).prop_map(
        |(
            (prediction, at, model, weights, image, top),
            (votes, consensus, state),
            (name, audit, generation),
        )| {
            Feedback {
                prediction,
                at,
                model,
                weights,
                image,
                top,
                name,
                votes,
                consensus,
                state,
                audit,
                generation,
            }
        },
    )
}

pub fn label_item() -> impl Strategy<Value = LabelItem> {
    let about = (id(), time(), model(), hash(), any::<Option<String>>());
    (about, prop::collection::vec(scored(), 0..3), prop::collection::vec(vote(), 0..3)).prop_map(
        |((prediction, at, model, image, name), top, votes)| LabelItem {
            prediction,
            at,
            model,
            image,
            name,
            top,
            votes,
        },
    )
}
