//! Where to connect: one server, a cluster, or the master that a sentinel names.

use std::time::Duration;

#[cfg(feature = "sentinel")]
use redis::aio::MultiplexedConnection;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value};

/// How long a connection attempt, or an answer, may take before the connection is given up; no timeout is longer.
pub(crate) const GIVEN_UP: Duration = Duration::from_secs(2);

pub(crate) enum Target {
    Single(Box<Client>),
    #[cfg(feature = "cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
    #[cfg(feature = "sentinel")]
    Sentinel(Box<tokio::sync::Mutex<redis::sentinel::SentinelClient>>),
}

#[derive(Clone)]
pub(crate) enum Connection {
    Single(ConnectionManager),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
    #[cfg(feature = "sentinel")]
    Sentinel(MultiplexedConnection),
}

impl Target {
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        match self {
            Self::Single(client) => {
                let config = ConnectionManagerConfig::new()
                    // A failure is the end of this connection; the next call makes another.
                    .set_number_of_retries(0)
                    .set_connection_timeout(Some(GIVEN_UP))
                    .set_response_timeout(Some(GIVEN_UP));
                ConnectionManager::new_lazy_with_config(Client::clone(client), config).map(Connection::Single)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(client) => {
                let config = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(GIVEN_UP))
                    .set_response_timeout(Some(GIVEN_UP));
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&config).await.map(Connection::Sentinel)
            }
        }
    }

    /// One server; `ca` is the one certificate (PEM) that it is trusted by.
    pub(crate) fn single(info: ConnectionInfo, ca: Option<Vec<u8>>) -> RedisResult<Self> {
        let client = match ca {
            #[cfg(feature = "tls")]
            Some(pem) => Client::build_with_tls(info, trusting(pem)),
            _ => Client::open(info),
        };
        client.map(|client| Self::Single(Box::new(client)))
    }

    /// The cluster of which one node is known.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(node: ConnectionInfo, ca: Option<Vec<u8>>) -> RedisResult<Self> {
        let builder = redis::cluster::ClusterClient::builder([node]);
        let builder = builder.connection_timeout(GIVEN_UP).response_timeout(GIVEN_UP);
        let builder = match ca {
            #[cfg(feature = "tls")]
            Some(pem) => builder.certs(trusting(pem)),
            _ => builder,
        };
        builder.build().map(|client| Self::Cluster(Box::new(client)))
    }

    /// The master of this name, as one sentinel knows it.
    #[cfg(feature = "sentinel")]
    pub(crate) fn sentinel(
        sentinel: ConnectionInfo,
        master: String,
        settings: redis::RedisConnectionInfo,
    ) -> RedisResult<Self> {
        use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};

        let servers = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(settings)
            .set_tcp_settings(sentinel.tcp_settings().clone());
        let servers = match sentinel.addr() {
            redis::ConnectionAddr::TcpTls { .. } => servers.set_tls_mode(redis::TlsMode::Secure),
            _ => servers,
        };
        let client = SentinelClient::build(vec![sentinel], master, Some(servers), SentinelServerType::Master);
        client.map(|client| Self::Sentinel(Box::new(tokio::sync::Mutex::new(client))))
    }
}

#[cfg(feature = "tls")]
fn trusting(pem: Vec<u8>) -> redis::TlsCertificates {
    redis::TlsCertificates { client_tls: None, root_cert: Some(pem) }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_command(command),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(commands, offset, count),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.get_db(),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(connection) => connection.get_db(),
        }
    }
}
