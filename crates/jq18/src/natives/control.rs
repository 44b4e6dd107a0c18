//! Functions that steer evaluation: counters, errors, generators, updates.

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome};
use jaq_core::{Bind, Exn, Native, ValT};

use super::{of_values, paths};
use crate::engine::{self, Data};
use crate::parser::{ASSIGN, CLOSURE_TICK, LAST, MODIFY, TICK};
use crate::value::{Error, Val};
use crate::{guard, natives};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    // jaq's own, some under a name that expressions cannot use because a definition wraps them.
    all.extend(
        jaq_core::funs::<Data>().filter_map(|(name, arguments, native)| {
            let name = match name {
                "error_empty" => "error!",
                "limit" => "limit!",
                "skip" => "skip!",
                "first" | "last" | "path" => name,
                _ => return None,
            };
            Some((name, arguments, native))
        }),
    );
    let tick = Native::new(|cv| bome(guard::call().map(|()| cv.1))).with_paths(|cv| {
        let (value, path) = cv.1;
        let counted = guard::call().and_then(|()| guard::path(path.iter()));
        box_once(counted.map(|()| (value, path)).map_err(Exn::from))
    });
    all.push((TICK, Box::new([]), tick));
    let closure = Native::new(|cv| bome(guard::closure_call().map(|()| cv.1)))
        .with_paths(|cv| box_once(guard::closure_call().map(|()| cv.1).map_err(Exn::from)));
    all.push((CLOSURE_TICK, Box::new([]), closure));

    all.push(of_values!("halt", 0, |_| box_once(Err(engine::halt()))));
    all.push(of_values!("range!", 3, |mut cv| {
        let by = cv.0.pop_var();
        let to = cv.0.pop_var();
        let from = cv.0.pop_var();
        match (from.as_f64(), to.as_f64(), by.as_f64()) {
            (Some(from), Some(to), Some(by)) => Box::new(range(from, to, by)),
            _ => bome(Err(Error::str("Range bounds must be numeric"))),
        }
    }));
    all.push(of_values!("builtins", 0, |_| {
        let names = natives::BUILTINS.split_whitespace();
        bome(Val::array(
            names.map(|name| Val::Str(name.to_owned().into())).collect(),
        ))
    }));
    let closure = || Bind::Fun(());
    all.push((
        LAST,
        Box::new([closure()]),
        Native::new(|mut cv| {
            let (f, ctx) = cv.0.pop_fun();
            let mut last = Val::Null;
            for output in f.run((ctx, cv.1)) {
                match output {
                    Ok(output) => last = output,
                    Err(error) => return box_once(Err(error)),
                }
            }
            box_once(Ok(last))
        }),
    ));
    // `paths |= update`: the first output replaces, no output deletes, deletions come last.
    all.push((
        MODIFY,
        Box::new([closure(), closure()]),
        Native::new(|mut cv| {
            let (update, update_ctx) = cv.0.pop_fun();
            let (targets, targets_ctx) = cv.0.pop_fun();
            let mut root = cv.1;
            let mut deleted = Vec::new();
            for found in targets.paths((targets_ctx, (root.clone(), Default::default()))) {
                let mut path: Vec<Val> = match found {
                    Ok((_, path)) => path.iter().cloned().collect(),
                    Err(error) => return box_once(Err(error)),
                };
                path.reverse();
                let old = match paths::get(root.clone(), &path) {
                    Ok(old) => old,
                    Err(error) => return box_once(Err(error.into())),
                };
                let next = update.run((update_ctx.clone(), old)).next();
                match next {
                    Some(Ok(new)) => match paths::set(root, &path, new) {
                        Ok(changed) => root = changed,
                        Err(error) => return box_once(Err(error.into())),
                    },
                    Some(Err(error)) => return box_once(Err(error)),
                    None => deleted.push(path),
                }
            }
            bome(paths::delete_all(root, deleted))
        }),
    ));
    all.push((
        ASSIGN,
        Box::new([closure(), Bind::Var(())]),
        Native::new(|mut cv| {
            let new = cv.0.pop_var();
            let (targets, ctx) = cv.0.pop_fun();
            let mut root = cv.1;
            for found in targets.paths((ctx, (root.clone(), Default::default()))) {
                let mut path: Vec<Val> = match found {
                    Ok((_, path)) => path.iter().cloned().collect(),
                    Err(error) => return box_once(Err(error)),
                };
                path.reverse();
                match paths::set(root, &path, new.clone()) {
                    Ok(changed) => root = changed,
                    Err(error) => return box_once(Err(error.into())),
                }
            }
            box_once(Ok(root))
        }),
    ));
}

/// Numbers from `from` towards `to`; a step of zero yields nothing.
fn range<'a>(from: f64, to: f64, by: f64) -> impl Iterator<Item = Result<Val, Exn<'a, Val>>> {
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let current = next?;
        if !((0.0 < by && current < to) || (by < 0.0 && to < current)) {
            return None;
        }
        next = Some(current + by);
        let counted = guard::work(4);
        if counted.is_err() {
            next = None;
        }
        Some(counted.map(|()| Val::Num(current)).map_err(Exn::from))
    })
}

/// Whether jq would take the value for true.
pub(super) fn truthy(value: &Val) -> bool {
    value.as_bool()
}
