"""Which worker calls a receiver: a lease for each, so that taking a callback from the queue writes nothing. And a
person's messages are found without walking the tenant's."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Of no tenant: what a worker of ours has in its hands.
    op.execute("CREATE TABLE callback_leases (target text PRIMARY KEY, owner text NOT NULL, until bigint NOT NULL)")
    op.execute("CREATE INDEX messages_of_contact ON messages (contact_ref, message_id) WHERE contact_ref IS NOT NULL")
