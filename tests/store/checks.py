"""What must hold in a store whatever was written to it, looked at behind its back."""

from sqlalchemy import text

from app.domain.filters import TaskFilter
from app.domain.tasks import Task
from app.domain.texts import call_text, outcome_text
from app.store.bulk import is_postgres
from app.store.database import Database
from app.store.tasks import page

_SEARCHED = (
    "SELECT seq, tasks.id, value, args, args_repr, kwargs, kwargs_repr, result, result_repr,"
    " exception FROM tasks LEFT JOIN labels ON labels.id = name_id"
)


def all_pages(db: Database, wanted: TaskFilter) -> list[Task]:
    """All tasks that match, newest first: a page may be short where the machine is slow."""
    found = page(db, wanted)
    tasks = found.tasks
    while found.next is not None:
        found = page(db, wanted, cursor=found.next)
        tasks += found.tasks
    return tasks


def check_texts(db: Database) -> None:
    """Raises if the text index has anything else than what the rows say."""
    with db.writing() as connection:
        if not is_postgres(connection):
            connection.execute(
                text("INSERT INTO task_texts (task_texts) VALUES ('integrity-check')")
            )
            return
        expected = {}
        for seq, task_id, *fields in connection.execute(text(_SEARCHED)):
            expected[seq * 2] = call_text(task_id, *fields[:5])
            expected[seq * 2 + 1] = outcome_text(*fields[5:])
        found = connection.execute(text("SELECT place, text FROM task_texts")).all()
        assert {place: words for place, words in expected.items() if words} == {
            row.place: row.text for row in found
        }


def words_left(db: Database) -> int:
    """How many entries the text index has once it was tidied up."""
    with db.writing() as connection:
        if is_postgres(connection):
            return connection.scalar(text("SELECT count(*) FROM task_texts")) or 0
        connection.execute(text("INSERT INTO task_texts (task_texts) VALUES ('optimize')"))
        connection.execute(text("CREATE VIRTUAL TABLE words USING fts5vocab (task_texts, 'row')"))
        return connection.scalar(text("SELECT count(*) FROM words")) or 0
