{{ deduplicated('crm_event_tracked') }}
