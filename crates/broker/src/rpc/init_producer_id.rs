use tonic::{Request, Response, Status};
use types::{ProducerEpoch, ProducerId};
use wire::v1::broker::{InitProducerIdRequest, InitProducerIdResponse};
use wire::{InvalidMessage, OrStatus};

use super::Data;
use crate::producer_ids::ProducerLife;

pub(super) async fn init_producer_id(
    data: &Data,
    request: Request<InitProducerIdRequest>,
) -> Result<Response<InitProducerIdResponse>, Status> {
    let before = decode(request.get_ref())?;
    let life = data.producer_ids.next_life(before).await.or_status()?;
    Ok(Response::new(InitProducerIdResponse {
        producer_id: life.id.get(),
        producer_epoch: u32::from(life.epoch.get()),
    }))
}

fn decode(request: &InitProducerIdRequest) -> Result<Option<ProducerLife>, InvalidMessage> {
    let (id, epoch) = match (request.producer_id, request.producer_epoch) {
        (None, None) => return Ok(None),
        (Some(id), Some(epoch)) => (id, epoch),
        (Some(_), None) => return Err(InvalidMessage::Missing { field: "producer_epoch" }),
        (None, Some(_)) => return Err(InvalidMessage::Missing { field: "producer_id" }),
    };
    let valid = u16::try_from(epoch).ok().and_then(ProducerEpoch::new);
    let epoch = valid.ok_or_else(|| InvalidMessage::Value {
        field: "producer_epoch",
        found: epoch.to_string(),
        expected: "0 to 32767",
    })?;
    if i64::try_from(id).is_err() {
        let found = id.to_string();
        let expected = "0 to 2^63 - 1";
        return Err(InvalidMessage::Value { field: "producer_id", found, expected });
    }
    Ok(Some(ProducerLife { id: ProducerId::new(id), epoch }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: Option<u64>, epoch: Option<u32>, expected: Result<Option<(u64, u16)>, &str>) {
        let request = InitProducerIdRequest { producer_id: id, producer_epoch: epoch };
        let decoded = decode(&request).map(|life| life.map(|it| (it.id.get(), it.epoch.get())));
        assert_eq!(
            decoded.map_err(|error| match error {
                InvalidMessage::Missing { field } | InvalidMessage::Value { field, .. } => field,
                other @ (InvalidMessage::Topic(_) | InvalidMessage::Path(_)) => panic!("{other}"),
            }),
            expected
        );
    }

    #[test]
    fn a_producer_names_its_life_in_full_or_not_at_all() {
        check(None, None, Ok(None));
        check(Some(7), Some(32_767), Ok(Some((7, 32_767))));
        check(Some(7), None, Err("producer_epoch"));
        check(None, Some(0), Err("producer_id"));
    }

    #[test]
    fn numbers_that_the_record_format_does_not_have_are_refused() {
        check(Some(7), Some(32_768), Err("producer_epoch"));
        check(Some(1 << 63), Some(0), Err("producer_id"));
    }
}
