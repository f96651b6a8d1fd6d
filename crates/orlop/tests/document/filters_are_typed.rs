//! Filters are typed.

use bson::{Bson, doc};
use orlop::document::{Date, Direction, Document, Timestamp};
use orlop::query::typed::{Filter, Sort, Update};
use orlop::query::{ElemMatch, Expr, Pred};

use crate::models::{Event, Increase, Points, Preferences, Status, Task, User, user};

#[track_caller]
fn is<D>(filter: Filter<D>, path: &'static str, pred: Pred) {
    assert_eq!(filter.into_expr().unwrap(), Expr::Field(path.into(), pred));
}

#[test]
fn each_field_takes_what_is_meant() {
    let me = &user();
    is(
        Task::user_id().eq(user()),
        "userId",
        Pred::Eq(Bson::from(user())),
    );
    is(
        Task::user_id().eq(me),
        "userId",
        Pred::Eq(Bson::from(user())),
    );
    is(Task::priority().ge(3), "priority", Pred::Gte(3.0.into()));
    is(Task::priority().ge(2.5), "priority", Pred::Gte(2.5.into()));
    is(
        Task::priority().eq(9_007_199_254_740_993),
        "priority",
        Pred::Eq(9_007_199_254_740_993_i64.into()),
    );
    is(Task::title().eq("x"), "title", Pred::Eq("x".into()));
    is(
        Task::title().eq(String::from("x")),
        "title",
        Pred::Eq("x".into()),
    );
    is(
        Task::status().ne(Status::Done),
        "status",
        Pred::Ne("DONE".into()),
    );
    is(
        Task::status().is_in([Status::Done, Status::Todo]),
        "status",
        Pred::In(vec!["DONE".into(), "TODO".into()], vec![]),
    );
    is(Task::tags().contains("x"), "tags", Pred::Eq("x".into()));
    is(
        Task::tags().eq(["a", "b"]),
        "tags",
        Pred::Eq(vec!["a", "b"].into()),
    );
    is(
        Task::tags().contains_all(["a"]),
        "tags",
        Pred::All(vec![Pred::Eq("a".into())]),
    );
    is(Task::due_date().is_none(), "dueDate", Pred::Eq(Bson::Null));
    is(Task::due_date().eq(None), "dueDate", Pred::Eq(Bson::Null));
    is(
        Task::due_date().eq(Timestamp::from_millis(1)),
        "dueDate",
        Pred::Eq(Timestamp::from_millis(1).into()),
    );
    is(
        Task::due_date().lt(Timestamp::from_millis(1)),
        "dueDate",
        Pred::Lt(Timestamp::from_millis(1).into()),
    );
    is(Task::project().eq(3), "project", Pred::Eq(3_i64.into()));
    is(
        Task::points().gt(Points(3)),
        "points",
        Pred::Gt(3_i64.into()),
    );
    is(
        Task::description().starts_with("a.b"),
        "description",
        Pred::Regex(orlop::query::Pattern {
            pattern: "^a\\.b".into(),
            options: String::new(),
        }),
    );
    is(
        User::preferences().theme().eq("dark"),
        "preferences.theme",
        Pred::Eq("dark".into()),
    );
    is(
        User::address().city().eq("Bern"),
        "address.city",
        Pred::Eq("Bern".into()),
    );
    is(
        User::preferences().eq(Preferences {
            theme: "x".into(),
            notifications: false,
        }),
        "preferences",
        Pred::Eq(doc! {"theme": "x", "notifications": false}.into()),
    );
    is(
        Task::comments().any().likes().gt(1),
        "comments.likes",
        Pred::Gt(1_i64.into()),
    );
    is(
        Task::tags().any().starts_with("x"),
        "tags",
        Pred::Regex(orlop::query::Pattern {
            pattern: "^x".into(),
            options: String::new(),
        }),
    );
    is(Task::comments().size(2), "comments", Pred::Size(2));
}

#[test]
fn one_element_meets_all_or_the_path_rule_applies() {
    let both = Task::comments().elem(|c| c.likes().gt(1) & c.text().eq("hi"));
    let inner = Expr::And(vec![
        Expr::Field("likes".into(), Pred::Gt(1_i64.into())),
        Expr::Field("text".into(), Pred::Eq("hi".into())),
    ]);
    is(
        both,
        "comments",
        Pred::ElemMatch(ElemMatch::Document(Box::new(inner))),
    );
    let scalar = Task::tags().elem(|tag| tag.ge("a") & !tag.eq("b"));
    is(
        scalar,
        "tags",
        Pred::ElemMatch(ElemMatch::Value(vec![
            Pred::Gte("a".into()),
            Pred::Not(vec![Pred::Eq("b".into())]),
        ])),
    );
    let refused = Task::tags()
        .elem(|tag| tag.eq("a") | tag.eq("b"))
        .into_expr()
        .unwrap_err();
    assert_eq!(refused.kind(), orlop::ErrorKind::Unsupported);
}

#[test]
fn a_day_is_half_open_and_an_unknown_zone_is_told() {
    let day: Date = "2023-03-26".parse().unwrap();
    let filter = (Task::due_date().on_day(day, "Europe/Zurich") & Task::title().eq("x"))
        .into_expr()
        .unwrap();
    let at = |text: &str| Bson::from(text.parse::<Timestamp>().unwrap());
    assert_eq!(
        filter,
        Expr::And(vec![
            Expr::Field("dueDate".into(), Pred::Gte(at("2023-03-25T23:00:00Z"))),
            Expr::Field("dueDate".into(), Pred::Lt(at("2023-03-26T22:00:00Z"))),
            Expr::Field("title".into(), Pred::Eq("x".into())),
        ])
    );
    let refused = Task::created_at()
        .on_day(day, "Mars/Olympus")
        .into_expr()
        .unwrap_err();
    assert_eq!(refused.message(), "time zone \"Mars/Olympus\" is unknown");
}

#[test]
fn a_filter_on_a_variant_adds_its_tag() {
    let filter: Filter<Event> = Increase::delta().gt(0).variant();
    assert_eq!(
        filter.into_expr().unwrap(),
        Expr::And(vec![
            Expr::Field("type".into(), Pred::Eq("Increase".into())),
            Expr::Field("delta".into(), Pred::Gt(0_i64.into())),
        ])
    );
    let filter: Filter<Event> =
        Increase::event_date().exists(true).any_variant() & Event::tag().ne("fix");
    assert_eq!(
        filter.into_expr().unwrap(),
        Expr::And(vec![
            Expr::Field("eventDate".into(), Pred::Exists(true)),
            Expr::Field("type".into(), Pred::Ne("fix".into())),
        ])
    );
}

#[test]
fn the_closure_form_has_the_same_fields() {
    let by = |make: fn(<Task as Document>::Fields) -> Filter<Task>| {
        make(Task::fields()).into_expr().unwrap()
    };
    assert_eq!(
        by(|t| t.tags().contains("x") & t.status().eq(Status::Done)),
        (Task::tags().contains("x") & Task::status().eq(Status::Done))
            .into_expr()
            .unwrap()
    );
}

#[test]
fn sorts_and_updates_say_mongodbs_syntax() {
    let sort: Sort<Task> = [Task::priority().desc(), Task::due_date().asc()].into();
    assert_eq!(
        sort.into_untyped().unwrap().keys,
        [
            ("priority".into(), Direction::Descending),
            ("dueDate".into(), Direction::Ascending),
        ]
    );
    let update: Update<Task> = [
        Task::priority().inc(1),
        Task::tags().push("y"),
        Task::status().set(Status::Done),
        Task::due_date().set(None),
        Task::project().set(4),
        Task::comments().at_index(0).likes().inc(2),
        Task::updated_at().set_now(),
    ]
    .into();
    assert_eq!(
        update.form(),
        &Bson::from(doc! {
            "$inc": {"priority": 1.0, "comments.0.likes": 2_i64},
            "$push": {"tags": {"$each": ["y"]}},
            "$set": {"status": "DONE", "project": 4_i64},
            "$unset": {"dueDate": ""},
            "$currentDate": {"updatedAt": true},
        })
    );
    let update: Update<User> = User::preferences()
        .set(Preferences {
            theme: "x".into(),
            notifications: true,
        })
        .into();
    assert_eq!(
        update.form(),
        &Bson::from(doc! {"$set": {"preferences": {"theme": "x", "notifications": true}}})
    );
}
