{{ deduplicated('sms_message_prepared') }}
