//! Statements over many rows, with texts that depend on nothing but the table and the number of rows.
//!
//! Connections keep prepared statements by their text. Rows are therefore written in chunks of powers of two, so that a
//! table has eight texts for each kind of statement, however the groups fall.

use std::fmt::Write as _;

use sea_orm::{DbBackend, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, Statement, Value};

/// The most rows in one statement. The widest table has eleven columns; the engines allow 32,766 and 65,535 parameters.
pub(crate) const CHUNK_MAX: usize = 128;

/// The sizes of the chunks that so many rows are written in: the largest power of two that fits, again and again.
pub(crate) fn chunks(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let size = 1 << rows.min(CHUNK_MAX).checked_ilog2()?;
        rows -= size;
        Some(size)
    })
}

/// Writes rows over those with the same key.
pub(crate) fn upsert<E: EntityTrait>(backend: DbBackend, rows: Vec<Vec<Value>>) -> Statement {
    let mut sql = insert_text::<E>(backend, rows.len());
    let key = key_columns::<E>();
    let _ = write!(sql, " ON CONFLICT ({}) DO ", key.join(", "));
    let set: Vec<_> = columns::<E>()
        .filter(|column| !key.contains(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    match set.as_slice() {
        [] => sql.push_str("NOTHING"),
        set => {
            let _ = write!(sql, "UPDATE SET {}", set.join(", "));
        }
    }
    statement(backend, sql, rows)
}

/// Writes rows whose keys are new.
pub(crate) fn insert<E: EntityTrait>(backend: DbBackend, rows: Vec<Vec<Value>>) -> Statement {
    statement(backend, insert_text::<E>(backend, rows.len()), rows)
}

/// Removes rows by their keys.
pub(crate) fn delete<E: EntityTrait>(backend: DbBackend, keys: Vec<Vec<Value>>) -> Statement {
    let table = E::default();
    let mut sql = format!("DELETE FROM {} WHERE ", table.table_name());
    let columns = key_columns::<E>();
    let mut number = 0;
    if let [column] = columns.as_slice() {
        let _ = write!(sql, "{column} IN ");
        placeholders(&mut sql, backend, keys.len(), &mut number);
    } else {
        // SQLite has no list of row values, and PostgreSQL cannot type the parameters of a VALUES list.
        for nth in 0..keys.len() {
            sql.push_str(if nth == 0 { "(" } else { " OR (" });
            for (at, column) in columns.iter().enumerate() {
                let _ = write!(sql, "{}{column} = ", if at == 0 { "" } else { " AND " });
                placeholder(&mut sql, backend, &mut number);
            }
            sql.push(')');
        }
    }
    statement(backend, sql, keys)
}

/// A statement written out, with `?` for each parameter.
pub(crate) fn raw(backend: DbBackend, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    let mut text = String::with_capacity(sql.len() + 8);
    let mut number = 0;
    for part in sql.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(part) => {
                text.push_str(part);
                placeholder(&mut text, backend, &mut number);
            }
            None => text.push_str(part),
        }
    }
    Statement::from_sql_and_values(backend, text, values)
}

fn statement(backend: DbBackend, sql: String, rows: Vec<Vec<Value>>) -> Statement {
    Statement::from_sql_and_values(backend, sql, rows.into_iter().flatten())
}

fn insert_text<E: EntityTrait>(backend: DbBackend, rows: usize) -> String {
    let columns: Vec<_> = columns::<E>().collect();
    let table = E::default();
    let mut sql = format!("INSERT INTO {} ({}) VALUES ", table.table_name(), columns.join(", "));
    let mut number = 0;
    for row in 0..rows {
        if row > 0 {
            sql.push(',');
        }
        placeholders(&mut sql, backend, columns.len(), &mut number);
    }
    sql
}

fn placeholders(sql: &mut String, backend: DbBackend, count: usize, number: &mut usize) {
    for nth in 0..count {
        sql.push(if nth == 0 { '(' } else { ',' });
        placeholder(sql, backend, number);
    }
    sql.push(')');
}

fn placeholder(sql: &mut String, backend: DbBackend, number: &mut usize) {
    *number += 1;
    if backend == DbBackend::Postgres {
        let _ = write!(sql, "${number}");
    } else {
        sql.push('?');
    }
}

fn columns<E: EntityTrait>() -> impl Iterator<Item = &'static str> {
    E::Column::iter().map(|column| column.as_str())
}

fn key_columns<E: EntityTrait>() -> Vec<&'static str> {
    E::PrimaryKey::iter().map(|key| key.into_column().as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{receipt, task};

    fn rows(count: usize, width: usize) -> Vec<Vec<Value>> {
        vec![vec![Value::from("x"); width]; count]
    }

    #[test]
    fn chunks_are_powers_of_two_and_lose_no_row() {
        assert_eq!(chunks(0).count(), 0);
        assert_eq!(chunks(1).collect::<Vec<_>>(), [1]);
        assert_eq!(chunks(300).collect::<Vec<_>>(), [128, 128, 32, 8, 4]);
        for rows in 0..1000 {
            assert_eq!(chunks(rows).sum::<usize>(), rows);
            assert!(chunks(rows).all(|size| size.is_power_of_two() && size <= CHUNK_MAX));
        }
    }

    #[test]
    fn texts_follow_the_dialect() {
        assert_eq!(
            upsert::<task::Entity>(DbBackend::Sqlite, rows(2, 2)).sql,
            "INSERT INTO task (id, doc) VALUES (?,?),(?,?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"
        );
        assert_eq!(
            delete::<task::Entity>(DbBackend::Postgres, rows(3, 1)).sql,
            "DELETE FROM task WHERE id IN ($1,$2,$3)"
        );
        assert_eq!(
            delete::<receipt::Entity>(DbBackend::Postgres, rows(1, 4)).sql,
            "DELETE FROM receipt WHERE (subject = $1 AND action = $2 AND namespace = $3 AND idempotency_key = $4)"
        );
        assert_eq!(raw(DbBackend::Postgres, "a = ? AND b = ?", []).sql, "a = $1 AND b = $2");
    }
}
