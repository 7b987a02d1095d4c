//! Connects to one server, to a cluster, or to the master that a sentinel reports.

use std::time::Duration;

#[cfg(feature = "sentinel")]
use redis::aio::MultiplexedConnection;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value};

/// How long a connection attempt or a reply may take before the connection is closed. This is also the longest timeout
/// of a store.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) enum RedisClient {
    Single(Box<Client>),
    #[cfg(feature = "cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
    #[cfg(feature = "sentinel")]
    Sentinel(Box<tokio::sync::Mutex<redis::sentinel::SentinelClient>>),
}

#[derive(Clone)]
pub(crate) enum RedisConnection {
    Single(ConnectionManager),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
    #[cfg(feature = "sentinel")]
    Sentinel(MultiplexedConnection),
}

impl RedisClient {
    pub(crate) async fn connect(&self) -> RedisResult<RedisConnection> {
        match self {
            Self::Single(client) => {
                let config = ConnectionManagerConfig::new()
                    // `SharedConnection` makes a new connection after a failure, so this one must not retry.
                    .set_number_of_retries(0)
                    .set_connection_timeout(Some(CONNECTION_TIMEOUT))
                    .set_response_timeout(Some(CONNECTION_TIMEOUT));
                ConnectionManager::new_lazy_with_config(Client::clone(client), config).map(RedisConnection::Single)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(client) => client.get_async_connection().await.map(RedisConnection::Cluster),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(client) => {
                let config = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECTION_TIMEOUT))
                    .set_response_timeout(Some(CONNECTION_TIMEOUT));
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&config).await.map(RedisConnection::Sentinel)
            }
        }
    }

    /// Returns the client of one server. If `ca` is set, it is the only root certificate (PEM) that is trusted.
    pub(crate) fn single(info: ConnectionInfo, ca: Option<Vec<u8>>) -> RedisResult<Self> {
        let client = match ca {
            #[cfg(feature = "tls")]
            Some(pem) => Client::build_with_tls(info, root_certificate(pem)),
            _ => Client::open(info),
        };
        client.map(|client| Self::Single(Box::new(client)))
    }

    /// Returns the client of a cluster; `node` is any one of its nodes.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(node: ConnectionInfo, ca: Option<Vec<u8>>) -> RedisResult<Self> {
        let builder = redis::cluster::ClusterClient::builder([node]);
        let builder = builder.connection_timeout(CONNECTION_TIMEOUT).response_timeout(CONNECTION_TIMEOUT);
        let builder = match ca {
            #[cfg(feature = "tls")]
            Some(pem) => builder.certs(root_certificate(pem)),
            _ => builder,
        };
        builder.build().map(|client| Self::Cluster(Box::new(client)))
    }

    /// Returns the client of the master with this name, which the sentinel reports.
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
fn root_certificate(pem: Vec<u8>) -> redis::TlsCertificates {
    redis::TlsCertificates { client_tls: None, root_cert: Some(pem) }
}

impl ConnectionLike for RedisConnection {
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
